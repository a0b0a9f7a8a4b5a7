/** A worker on the real ports: WebSocket, HTTP and ring, TensorFlow, the time that passes. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { DataServer, MONOTONIC, dialControl } from '@lockstep/comm';
import { encodeState, encodedStateBytes, fetchState, openTrace } from '@lockstep/run';
import type { ComputeSetup } from '../compute/compute.js';
import { engineWith } from '../compute/engine.js';
import type { WorkerPorts } from './ports.js';
import { TrainingWorker, type WorkerIdentity } from './worker.js';

export interface WorkerOptions extends WorkerIdentity, Pick<WorkerPorts, 'random' | 'log'> {
  readonly host: string;
  readonly port: number;
  /** What its data port is called besides `host` and `advertiseHost`: see serverNames of libs/comm. */
  readonly names: readonly string[];
  /** Name of the local socket for neighbours on this host, or null for none. */
  readonly localName: string | null;
  readonly compute: ComputeSetup;
}

/** Opens the data port, then looks for the coordinator. Rejects if the port cannot be had. */
export async function startWorker(options: WorkerOptions): Promise<TrainingWorker> {
  const { host, port, id, names, advertiseHost, localName, compute, random, log } = options;
  let worker: TrainingWorker | null = null;
  const dataPlane = await DataServer.listen({
    host,
    port,
    selfId: id,
    names: [advertiseHost, ...names],
    localName,
    handleRequest: (request, response) => answer(worker, request, response),
    log: (event, fields) => log('info', `${event}: ${JSON.stringify(fields)}`),
  });
  worker = new TrainingWorker(options, {
    clock: MONOTONIC,
    random,
    dial: dialControl,
    dataPlane,
    fetchState,
    openEngine: engineWith(compute),
    trace: openTrace(compute.trace, 'io'),
    log,
  });
  worker.start();
  return worker;
}

/** GET /state/K: the state that the worker holds or retained, in the encoding of libs/run. */
function answer(worker: TrainingWorker | null, request: IncomingMessage, response: ServerResponse): void {
  const wanted = Number(/^\/state\/(\d{1,15})$/.exec(request.url ?? '')?.[1] ?? NaN);
  const state = request.method === 'GET' ? (worker?.served(wanted) ?? null) : null;
  if (state === null) {
    const held = worker?.state.have?.step ?? null;
    const body = `${JSON.stringify({ code: 'E_STATE_NOT_HELD', held })}\n`;
    response.writeHead(404, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(body);
    return;
  }
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': encodedStateBytes(state.weights.length),
  });
  for (const chunk of encodeState({ step: wanted, ...state })) response.write(chunk);
  response.end();
}
