/** What the coordinator's port answers over HTTP: /healthz, /metrics, /status, /state/K. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { failureOf } from '@lockstep/base';
import { encodeState, type TrainingState } from '@lockstep/run';

/** What is asked of the run. */
export interface Answering {
  readonly phase: () => string;
  readonly status: () => object;
  readonly metrics: () => Promise<{ readonly type: string; readonly text: string }>;
  /** State K from its checkpoint, or state 0 as the run starts; null if there is none. */
  readonly state: (wanted: number) => Promise<TrainingState | null>;
}

/** An HTTP answer, not yet sent. */
interface Reply {
  readonly status: number;
  readonly type: string;
  readonly chunks: readonly Uint8Array[];
}

export async function answer(run: Answering, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let reply: Reply;
  try {
    reply = await replyTo(run, request.method ?? '', (request.url ?? '/').split('?')[0] ?? '/');
  } catch (error) {
    reply = json(500, failureOf(error));
  }
  const bytes = reply.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  response.writeHead(reply.status, { 'content-type': reply.type, 'content-length': bytes });
  for (const chunk of request.method === 'HEAD' ? [] : reply.chunks) response.write(chunk);
  response.end();
}

async function replyTo(run: Answering, method: string, path: string): Promise<Reply> {
  if (method !== 'GET' && method !== 'HEAD') return json(405, { code: 'E_METHOD' });
  const phase = run.phase();
  if (path === '/healthz')
    return json(phase === 'over' ? 503 : 200, { status: phase === 'over' ? 'over' : 'ok', phase });
  if (path === '/status') return json(200, run.status());
  if (path === '/metrics') {
    const { type, text } = await run.metrics();
    return { status: 200, type, chunks: [Buffer.from(text)] };
  }
  const wanted = /^\/state\/(\d{1,15})$/.exec(path)?.[1];
  if (wanted === undefined)
    return json(404, { code: 'E_NOT_FOUND', paths: ['/healthz', '/metrics', '/status', '/state/K'] });
  const state = await run.state(Number(wanted));
  if (state === null) return json(404, { code: 'E_CHECKPOINT_MISSING' });
  return { status: 200, type: 'application/octet-stream', chunks: encodeState(state) };
}

function json(status: number, value: unknown): Reply {
  return { status, type: 'application/json', chunks: [Buffer.from(`${JSON.stringify(value)}\n`)] };
}
