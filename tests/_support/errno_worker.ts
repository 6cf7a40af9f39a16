/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { errno } from "../../kernel/errno.ts";
import { cString } from "../../kernel/fd.ts";
import { openLibc } from "../../kernel/libc.ts";

const libc = openLibc();
errno();
libc.close(-1);
const first = errno();
libc.open(cString("/does/not/exist"), 0, 0);
self.postMessage([first, errno()]);
