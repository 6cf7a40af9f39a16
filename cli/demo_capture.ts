/**
 * A capture for `toom demo` where toom itself cannot run: what trace_pipe said on Linux 6.18 of two
 * processes of one user, without a toom. A neighbour touches 16 MiB, then a hog 96 MiB, both in
 * huge pages, so one event is 2 MiB.
 *
 * @module
 */

/** Whose the processes were. */
export const CAPTURE_UID = 60100;
/** Its processes. */
export const CAPTURE_NAMES: Readonly<Record<number, string>> = { 22402: "neighbour", 22403: "hog" };
export const CAPTURE_PAGE_BYTES = 4096;

/** The lines. */
export const CAPTURE_TEXT = `\
       neighbour-22402   [001] ...1.  3996.850003: rss_stat: mm_id=3315210199 curr=1 type=MM_ANONPAGES size=9379840B
       neighbour-22402   [001] ...1.  3996.855827: rss_stat: mm_id=3315210199 curr=1 type=MM_ANONPAGES size=11476992B
       neighbour-22402   [001] ...1.  3996.862570: rss_stat: mm_id=3315210199 curr=1 type=MM_ANONPAGES size=13574144B
       neighbour-22402   [001] ...1.  3996.867801: rss_stat: mm_id=3315210199 curr=1 type=MM_ANONPAGES size=15671296B
       neighbour-22402   [001] ...1.  3996.874572: rss_stat: mm_id=3315210199 curr=1 type=MM_ANONPAGES size=17768448B
       neighbour-22402   [001] ...1.  3996.880308: rss_stat: mm_id=3315210199 curr=1 type=MM_ANONPAGES size=19865600B
       neighbour-22402   [001] ...1.  3996.886491: rss_stat: mm_id=3315210199 curr=1 type=MM_ANONPAGES size=21962752B
       neighbour-22402   [001] ...1.  3996.892570: rss_stat: mm_id=3315210199 curr=1 type=MM_ANONPAGES size=24059904B
             hog-22403   [001] ...1.  3997.158080: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=9383936B
             hog-22403   [001] ...1.  3997.158283: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=11481088B
             hog-22403   [001] ...1.  3997.168960: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=13578240B
             hog-22403   [001] ...1.  3997.181072: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=15675392B
             hog-22403   [001] ...1.  3997.187500: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=17772544B
             hog-22403   [001] ...1.  3997.198712: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=19869696B
             hog-22403   [001] ...1.  3997.208453: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=21966848B
             hog-22403   [001] ...1.  3997.218376: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=24064000B
             hog-22403   [001] ...1.  3997.227975: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=26161152B
             hog-22403   [001] ...1.  3997.234215: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=28258304B
             hog-22403   [001] .N.1.  3997.241113: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=30355456B
             hog-22403   [001] ...1.  3997.247064: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=32452608B
             hog-22403   [001] .N.1.  3997.252917: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=34549760B
             hog-22403   [001] ...1.  3997.258884: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=36646912B
             hog-22403   [001] .N.1.  3997.264968: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=38744064B
             hog-22403   [001] ...1.  3997.271033: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=40841216B
             hog-22403   [001] ...1.  3997.277015: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=42938368B
             hog-22403   [001] ...1.  3997.283010: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=45035520B
             hog-22403   [001] ...1.  3997.288738: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=47132672B
             hog-22403   [001] ...1.  3997.298118: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=49229824B
             hog-22403   [001] ...1.  3997.303470: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=51326976B
             hog-22403   [001] ...1.  3997.311271: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=53424128B
             hog-22403   [001] ...1.  3997.322581: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=55521280B
             hog-22403   [001] ...1.  3997.334184: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=57618432B
             hog-22403   [001] ...1.  3997.341159: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=59715584B
             hog-22403   [001] ...1.  3997.347065: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=61812736B
             hog-22403   [001] ...1.  3997.353088: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=63909888B
             hog-22403   [001] ...1.  3997.359058: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=66007040B
             hog-22403   [001] ...1.  3997.365084: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=68104192B
             hog-22403   [001] ...1.  3997.371219: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=70201344B
             hog-22403   [001] ...1.  3997.377166: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=72298496B
             hog-22403   [001] ...1.  3997.382712: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=74395648B
             hog-22403   [001] ...1.  3997.389109: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=76492800B
             hog-22403   [001] ...1.  3997.394574: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=78589952B
             hog-22403   [001] .N.1.  3997.401676: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=80687104B
             hog-22403   [001] ...1.  3997.408554: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=82784256B
             hog-22403   [001] ...1.  3997.414958: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=84881408B
             hog-22403   [001] .n.1.  3997.421173: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=86978560B
             hog-22403   [001] ...1.  3997.427716: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=89075712B
             hog-22403   [001] ...1.  3997.433659: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=91172864B
             hog-22403   [001] .N.1.  3997.439823: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=93270016B
             hog-22403   [001] ...1.  3997.445632: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=95367168B
             hog-22403   [001] ...1.  3997.451844: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=97464320B
             hog-22403   [001] ...1.  3997.458251: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=99561472B
             hog-22403   [001] .N.1.  3997.467111: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=101658624B
             hog-22403   [001] ...1.  3997.473251: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=103755776B
             hog-22403   [001] ...1.  3997.479432: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=105852928B
             hog-22403   [001] .N.1.  3997.485372: rss_stat: mm_id=802621083 curr=1 type=MM_ANONPAGES size=107950080B
`;
