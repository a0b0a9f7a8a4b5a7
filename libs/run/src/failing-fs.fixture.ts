/** For tests: a disk that fails at a chosen operation, as a crash (nothing works afterwards) or as a single error. */
import { nodeFs, type DurableFs } from '#src/durable-fs.js';

export type Failure = {
  /** The operation that fails, counted from 0; Infinity for none. */
  readonly at: number;
  /** 'crash': that one and all later operations fail, a write after half its bytes. 'error': only that one. */
  readonly kind: 'crash' | 'error';
  readonly code: string;
};

export class FailingFs implements DurableFs {
  /** Operations begun so far. */
  operations = 0;
  readonly log: string[] = [];

  constructor(private readonly failure: Failure) {}

  makeFolder = (path: string): Promise<void> => this.#run('makeFolder', () => nodeFs.makeFolder(path));
  syncFolder = (path: string): Promise<void> => this.#run('syncFolder', () => nodeFs.syncFolder(path));
  rename = (from: string, to: string): Promise<void> => this.#run('rename', () => nodeFs.rename(from, to));
  link = (from: string, to: string): Promise<void> => this.#run('link', () => nodeFs.link(from, to));
  remove = (path: string): Promise<void> => this.#run('remove', () => nodeFs.remove(path));
  list = (path: string): Promise<string[]> => this.#run('list', () => nodeFs.list(path));
  sizeOf = (path: string): Promise<number> => this.#run('sizeOf', () => nodeFs.sizeOf(path));
  read = (path: string): Promise<Uint8Array> => this.#run('read', () => nodeFs.read(path));

  createFile = async (path: string): ReturnType<DurableFs['createFile']> => {
    const file = await this.#run('createFile', () => nodeFs.createFile(path));
    return {
      write: async (chunk) => {
        if (this.#fails()) await file.write(chunk.subarray(0, chunk.length >> 1));
        await this.#run('write', () => file.write(chunk));
      },
      sync: () => this.#run('sync', () => file.sync()),
      close: async () => {
        // The descriptor is closed in any case: a dead process holds none, and a test must not leak them.
        await file.close();
        await this.#run('close', () => Promise.resolve());
      },
    };
  };

  #fails(): boolean {
    return this.failure.kind === 'crash' ? this.operations >= this.failure.at : this.operations === this.failure.at;
  }

  #run<T>(name: string, operation: () => Promise<T>): Promise<T> {
    const fails = this.#fails();
    this.operations += 1;
    this.log.push(name);
    if (fails)
      return Promise.reject(Object.assign(new Error(`${this.failure.code}: injected`), { code: this.failure.code }));
    return operation();
  }
}
