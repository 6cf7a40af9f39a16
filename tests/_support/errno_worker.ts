/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { errno } from "../../kernel/ffi/errno.ts";
import { cString } from "../../kernel/ffi/fd.ts";
import { openLibc } from "../../kernel/ffi/libc.ts";

const libc = openLibc();
errno();
libc.close(-1);
const first = errno();
libc.open(cString("/does/not/exist"), 0, 0);
self.postMessage([first, errno()]);
