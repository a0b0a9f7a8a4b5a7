/**
 * A thread that answers requests, one after another, seen from both of its sides. It may block: the I/O thread, which asks,
 * goes on meanwhile. One request that is replied to is in flight at a time (core.ts sees to that).
 */
import { Worker as Thread, parentPort } from 'node:worker_threads';
import type { Trace } from '@lockstep/run';
import { failureOf, type ErrorCode } from '@lockstep/base';

/** The thread could not do what it was asked, or died. */
export interface FailedReply {
  readonly kind: 'failed';
  readonly code: ErrorCode;
  readonly message: string;
}

/** The I/O thread's side. */
export class ServiceThread<Request, Reply> {
  private readonly thread: Thread;

  /**
   * Starts a thread whose `module` calls `serve`. `onReply` gets every reply in order; a thread that dies counts as a failed
   * reply with the code `deathCode`.
   */
  constructor(
    { module, setup, deathCode }: { readonly module: URL; readonly setup: unknown; readonly deathCode: ErrorCode },
    onReply: (reply: Reply | FailedReply) => void,
  ) {
    this.thread = new Thread(module, { workerData: setup });
    this.thread.on('message', onReply);
    this.thread.on('error', (error: Error) =>
      onReply({ kind: 'failed', code: deathCode, message: error.stack ?? error.message }),
    );
  }

  request(request: Request): void {
    this.thread.postMessage(request);
  }

  /** From now on the process may end while the thread stands, also in the middle of a request. */
  release(): void {
    this.thread.unref();
  }
}

/**
 * The thread's side: answers every request by as many calls of `reply` as `answer` makes, and by a failed reply if it throws or rejects.
 * Requests are taken as what `answer` expects: only the ServiceThread that started this thread posts them. `trace` is told when
 * the thread is idle.
 */
export function serve(
  answer: (request: never, reply: (reply: { readonly kind: string }) => void) => Promise<void> | undefined,
  trace: Trace,
): void {
  const reply = (message: { readonly kind: string }): void => parentPort?.postMessage(message);
  const answered = async (request: unknown): Promise<void> => {
    trace.stage(null);
    try {
      await answer(request as never, reply);
    } catch (error) {
      reply({ kind: 'failed', ...failureOf(error) } satisfies FailedReply);
    }
    trace.stage('idle');
  };
  trace.stage('idle');
  parentPort?.on('message', (request: unknown) => void answered(request));
}
