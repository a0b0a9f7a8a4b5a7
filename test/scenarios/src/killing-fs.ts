/** A disk that kills this process before a chosen operation of the first checkpoint that is published. */
import { nodeFs, type DurableFs } from '@lockstep/run';

/**
 * Operations count from 1, beginning with the one that a publication begins with: making the folder of checkpoints. Of
 * the writes into one file only the first counts; it leaves half of its bytes. `before` 0 kills at none.
 */
export function killingFs(before: number, kill: () => void): DurableFs {
  let operations = 0;
  const next = (): boolean => {
    if (before === 0) return false;
    operations += 1;
    if (operations !== before) return false;
    kill();
    return true;
  };
  const begun = (): boolean => operations > 0 && next();
  const counted = <A extends readonly unknown[], R>(run: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      begun();
      return run(...args);
    };
  };
  return {
    ...nodeFs,
    makeFolder: async (path) => {
      next();
      await nodeFs.makeFolder(path);
    },
    syncFolder: counted((path: string) => nodeFs.syncFolder(path)),
    rename: counted((from: string, to: string) => nodeFs.rename(from, to)),
    link: counted((from: string, to: string) => nodeFs.link(from, to)),
    remove: counted((path: string) => nodeFs.remove(path)),
    list: counted((path: string) => nodeFs.list(path)),
    createFile: async (path) => {
      begun();
      const file = await nodeFs.createFile(path);
      let written = false;
      return {
        write: async (chunk) => {
          if (!written && operations + 1 === before) await file.write(chunk.subarray(0, chunk.length >> 1));
          if (!written) begun();
          written = true;
          await file.write(chunk);
        },
        sync: counted(() => file.sync()),
        close: counted(() => file.close()),
      };
    },
  };
}
