/** Turns requests away that request-origin.ts refuses, before anything else looks at them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { refusalOf, serverNames, type RequestRefusal, type ServerNames } from './request-origin.js';

const STATUS = 403;
/** A refusal is a line; more than this is another server's page. */
const MAX_REFUSAL_BYTES = 4_096;

const refusalSchema: z.ZodType<RequestRefusal> = z.object({
  code: z.enum(['E_HOST_REFUSED', 'E_ORIGIN_REFUSED']),
  message: z.string(),
});

export class RequestGate {
  readonly #server: ServerNames;

  /** For a server that listens on `host`; `names` as of serverNames. */
  constructor(host: string, names: readonly string[] = []) {
    this.#server = serverNames(host, names);
  }

  /** Answers with 403 and { code, message } if the request is refused; whether it was. */
  turnsAway(request: IncomingMessage, response: ServerResponse): boolean {
    const refusal = this.#judge(request);
    if (refusal === null) return false;
    const { body, headers } = answer(refusal);
    response.writeHead(STATUS, headers).end(body);
    return true;
  }

  /** The same of a request for another protocol, whose connection it ends. */
  turnsAwayUpgrade(request: IncomingMessage, socket: Duplex): boolean {
    const refusal = this.#judge(request);
    if (refusal === null) return false;
    const { body, headers } = answer(refusal);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    // Whoever is refused may be gone before it has read why.
    socket.on('error', () => undefined);
    socket.end(`HTTP/1.1 ${STATUS} Forbidden\r\n${lines.join('')}\r\n${body}`);
    return true;
  }

  #judge({ method = '', url = '', headersDistinct }: IncomingMessage): RequestRefusal | null {
    return refusalOf({ method, target: url, headers: headersDistinct }, this.#server);
  }
}

function answer(refusal: RequestRefusal): { body: string; headers: Record<string, string> } {
  const body = `${JSON.stringify(refusal)}\n`;
  const length = String(Buffer.byteLength(body));
  return { body, headers: { 'content-type': 'application/json', 'content-length': length, connection: 'close' } };
}

/** The refusal that a gate answered with; null if this is another answer, such as a proxy's. */
export async function refusalIn(response: IncomingMessage): Promise<RequestRefusal | null> {
  if (response.statusCode !== STATUS) return null;
  let text = '';
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += String(chunk);
      if (text.length > MAX_REFUSAL_BYTES) return null;
    }
    return refusalSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
