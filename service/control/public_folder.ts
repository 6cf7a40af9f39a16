/**
 * Folders that everybody may enter, for sockets that everybody may ask on. What lies in them is
 * guarded by its own mode.
 *
 * @module
 */

const PUBLIC_MODE = 0o755;
const ENTER_OTHERS = 0o001;

/** The folders on the way to a file, outermost first: "/a/b/c" gives "/", "/a/" and "/a/b/". */
function foldersOf(path: string): string[] {
  return [...path.matchAll(/\//g)].map(({ index }) => path.slice(0, index + 1));
}

/**
 * Makes the folders of a file that do not exist, mode 0755 whatever the umask is. Folders that
 * exist stay as they are.
 *
 * @throws {Error} Of Deno.mkdirSync: PermissionDenied, NotADirectory and so on.
 */
export function makePublicFolders(path: string): void {
  for (const folder of foldersOf(path)) {
    try {
      Deno.mkdirSync(folder);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) continue;
      throw error;
    }
    Deno.chmodSync(folder, PUBLIC_MODE);
  }
}

/** The first folder on the way to a file that keeps other users out; undefined: there is none. */
export function closedFolderOf(path: string): string | undefined {
  return foldersOf(path).find((folder) => {
    const { mode } = Deno.statSync(folder);
    return mode !== null && (mode & ENTER_OTHERS) === 0;
  });
}
