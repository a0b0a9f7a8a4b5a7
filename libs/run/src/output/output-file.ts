/**
 * A file that a user names for a result. It is looked at before anything is computed, and written when all is there:
 *
 *   a plain file, or nothing yet    written beside and renamed, so that it is whole or as it was; mode and owner stay
 *   a link                          followed: the link stays, and what it leads to is replaced or made
 *   a device, a pipe                written into, never replaced: /dev/null, a FIFO
 *   a descriptor of this process    written to: /dev/stdout, and /dev/fd/63 as a shell gives for >(command)
 *
 * A plain file that cannot be replaced, as its folder takes no new file or it is a mount point, is written over in its place.
 */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { systemCode, systemReason } from '@lockstep/base';
import { randomNonce, TEMP_PREFIX } from '../durable-fs.js';
import { CheckpointError } from '../errors.js';
import { identityOf, targetOf, type Old, type Target } from './output-target.js';

/** A pipe whose reader is slow may refuse for a while. Milliseconds between two tries. */
const PIPE_PAUSE_MS = 5;
const COPY_BYTES = 1 << 20;
const STANDARD_OUTPUT = 1;
/** What the system answers where a file may be written, but not be replaced by another. */
const NOT_REPLACED: ReadonlySet<string | undefined> = new Set(['EBUSY', 'EXDEV', 'EPERM', 'EACCES']);
const NO_ROOM: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Takes in a file's content piece by piece. One of end and abandon is called once. */
export interface OutputSink {
  /** @throws CheckpointError E_OUTPUT_WRITE; the sink is then abandoned */
  write(chunk: string | Uint8Array): void;
  /** From now on the file is there. @throws CheckpointError E_OUTPUT_WRITE */
  end(): void;
  /** What was written is taken away, where it is not in a stream already. */
  abandon(): void;
}

export interface OutputFile {
  /** As the user wrote it. */
  readonly path: string;
  /** What it is written to is what the process prints on: messages then belong elsewhere. */
  readonly isStandardOutput: boolean;
  /** Whether two results would go into one file or pipe. */
  isSameAs(other: OutputFile): boolean;
  begin(): OutputSink;
  /** All of it at once. @throws CheckpointError E_OUTPUT_WRITE */
  write(...chunks: readonly (string | Uint8Array)[]): void;
}

/**
 * Looks at the file that `path` names, and writes nothing yet. With `makeFolder` the folders above it are made where they are missing.
 * @throws CheckpointError E_OUTPUT_PATH, which says what is wrong with it
 */
export function openOutput(path: string, { makeFolder = false }: { readonly makeFolder?: boolean } = {}): OutputFile {
  return new NamedOutput(path, targetOf(path, makeFolder));
}

class NamedOutput implements OutputFile {
  constructor(
    readonly path: string,
    private readonly target: Target,
  ) {}

  get isStandardOutput(): boolean {
    return this.target.kind === 'descriptor' && this.target.descriptor === STANDARD_OUTPUT;
  }

  isSameAs(other: OutputFile): boolean {
    const own = identityOf(this.target);
    return own !== null && other instanceof NamedOutput && own === identityOf(other.target);
  }

  begin(): OutputSink {
    const failed = (error: unknown): CheckpointError => {
      const advice = NO_ROOM.has(systemCode(error))
        ? 'make room, or name another file'
        : systemCode(error) === 'EPIPE'
          ? 'whoever read it has gone'
          : 'check it and its permissions, or name another file';
      return new CheckpointError(
        'E_OUTPUT_WRITE',
        `${this.path} cannot be written: ${systemReason(error)}; ${advice}`,
        { cause: error },
      );
    };
    return guarded(() => sinkFor(this.target), failed);
  }

  write(...chunks: readonly (string | Uint8Array)[]): void {
    const sink = this.begin();
    for (const chunk of chunks) sink.write(chunk);
    sink.end();
  }
}

/** A sink whose errors are `failed`'s, and which abandons itself by one. */
function guarded(open: () => OutputSink, failed: (error: unknown) => CheckpointError): OutputSink {
  let sink: OutputSink | null = null;
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      sink?.abandon();
      throw failed(error);
    }
  };
  attempt(() => (sink = open()));
  return {
    write: (chunk) => attempt(() => sink?.write(chunk)),
    end: () => attempt(() => sink?.end()),
    abandon: () => sink?.abandon(),
  };
}

function sinkFor(target: Target): OutputSink {
  switch (target.kind) {
    case 'replaced':
      return replacing(target.path, target.old);
    case 'written over':
      return into(fs.openSync(target.path, 'w'), true);
    case 'stream':
      return into(fs.openSync(target.path, fs.constants.O_WRONLY | fs.constants.O_NOCTTY), true);
    case 'descriptor':
      return into(target.descriptor, false);
    default:
      return target satisfies never;
  }
}

function into(descriptor: number, close: boolean): OutputSink {
  let open = close;
  const done = (): void => {
    if (open) fs.closeSync(descriptor);
    open = false;
  };
  return { write: (chunk) => writeAll(descriptor, chunk), end: done, abandon: done };
}

function replacing(path: string, old: Old | null): OutputSink {
  const temporary = join(dirname(path), TEMP_PREFIX + randomNonce());
  const descriptor = fs.openSync(temporary, 'wx', old === null ? 0o666 : old.mode & 0o777);
  let open = true;
  const close = (): void => {
    if (open) fs.closeSync(descriptor);
    open = false;
  };
  const abandon = (): void => {
    close();
    fs.rmSync(temporary, { force: true });
  };
  return {
    write: (chunk) => writeAll(descriptor, chunk),
    end: () => {
      if (old !== null) keepOwner(descriptor, old);
      fs.fsyncSync(descriptor);
      close();
      try {
        fs.renameSync(temporary, path);
      } catch (error) {
        if (old === null || !NOT_REPLACED.has(systemCode(error))) throw error;
        copyOver(temporary, path);
        abandon();
      }
    },
    abandon,
  };
}

function keepOwner(descriptor: number, { mode, uid, gid }: Old): void {
  try {
    fs.fchownSync(descriptor, uid, gid);
  } catch {
    // Only root can give a file away: it is then of who writes it, as by any editor.
  }
  // After the owner, as a change of that takes set-id bits away.
  fs.fchmodSync(descriptor, mode & 0o7777);
}

/** In pieces: a timeline has some hundred MB. */
function copyOver(from: string, to: string): void {
  const [source, goal] = [fs.openSync(from, 'r'), fs.openSync(to, 'w')];
  try {
    const piece = Buffer.alloc(COPY_BYTES);
    for (let read = fs.readSync(source, piece); read > 0; read = fs.readSync(source, piece))
      writeAll(goal, piece.subarray(0, read));
  } finally {
    fs.closeSync(source);
    fs.closeSync(goal);
  }
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4));

function writeAll(descriptor: number, chunk: string | Uint8Array): void {
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  for (let done = 0; done < bytes.byteLength;) {
    try {
      done += fs.writeSync(descriptor, bytes, done);
    } catch (error) {
      if (systemCode(error) !== 'EAGAIN') throw error;
      Atomics.wait(SLEEP, 0, 0, PIPE_PAUSE_MS);
    }
  }
}
