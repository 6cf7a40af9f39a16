import { assertEquals } from "@std/assert";
import { mapSharedFile } from "../../../kernel/ffi/shared_file.ts";
import "../../_support/real_kernel.ts"; // Opens the libc before the first test.
import { closedFolderOf } from "../../../service/control/public_folder.ts";
import { closeTmallocPlace, openTmallocPlace } from "../../../service/lifecycle/tmalloc_place.ts";

function modeOf(path: string): number {
  return Deno.statSync(path).mode! & 0o777;
}

/** A folder for the test, and the umask that services and root's shells may have. */
function withUmask077(body: (dirPath: string) => void): void {
  const dirPath = Deno.makeTempDirSync();
  Deno.chmodSync(dirPath, 0o755);
  const umask = Deno.umask(0o077);
  try {
    body(dirPath);
  } finally {
    Deno.umask(umask);
    Deno.removeSync(dirPath, { recursive: true });
  }
}

Deno.test("the place of tmalloc may be entered by everybody, whatever the umask; the ledger not", () => {
  withUmask077((dirPath) => {
    const socketPath = `${dirPath}/run/toom/tmalloc.sock`;
    const place = openTmallocPlace(socketPath);
    mapSharedFile(place.ledgerPath, 4096);
    const modes = ["run", "run/toom", "run/toom/tmalloc.sock", "run/toom/tmalloc.sock.stream"]
      .map((name) => modeOf(`${dirPath}/${name}`).toString(8));
    assertEquals(modes, ["755", "755", "666", "666"]);
    assertEquals(modeOf(place.ledgerPath), 0o600);
    assertEquals(closedFolderOf(socketPath), undefined);
    closeTmallocPlace(place, socketPath);
  });
});

Deno.test("a folder that exists keeps its mode, and is told of; a ledger open to others is closed", () => {
  withUmask077((dirPath) => {
    Deno.mkdirSync(`${dirPath}/run`, { mode: 0o700 });
    Deno.writeTextFileSync(`${dirPath}/run/tmalloc.ledger`, "");
    Deno.chmodSync(`${dirPath}/run/tmalloc.ledger`, 0o644);
    const socketPath = `${dirPath}/run/tmalloc.sock`;
    const place = openTmallocPlace(socketPath);
    assertEquals(modeOf(`${dirPath}/run`), 0o700);
    assertEquals(modeOf(place.ledgerPath), 0o600);
    assertEquals(closedFolderOf(socketPath), `${dirPath}/run/`);
    closeTmallocPlace(place, socketPath);
  });
});
