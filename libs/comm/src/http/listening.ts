/** Takes a port, and says what keeps a process from it: the coordinator's and the workers' alike. */
import { LockstepError } from '@lockstep/base';
import type { Server } from 'node:net';

/** A port cannot be had. */
export class ListenError extends LockstepError<'E_PORT_IN_USE' | 'E_LISTEN'> {
  override readonly name = 'ListenError';
}

export interface ListenAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** Resolves when the server listens. @throws ListenError E_PORT_IN_USE, E_LISTEN */
export async function listening(server: Server, { host, port }: ListenAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: Error): void => reject(listenError(error, { host, port }));
    server.once('error', refuse);
    try {
      server.listen(port, host, () => {
        server.off('error', refuse);
        resolve();
      });
    } catch (error) {
      // Node refuses some addresses at once.
      refuse(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

function listenError(error: Error, { host, port }: ListenAddress): ListenError {
  const code = 'code' in error ? error.code : undefined;
  switch (code) {
    case 'EADDRINUSE':
      return new ListenError(
        'E_PORT_IN_USE',
        `port ${port} of ${host} is in use: choose another one by --port (0: any free one)`,
        { cause: error },
      );
    case 'EACCES':
      return new ListenError('E_LISTEN', `this user may not listen on port ${port} of ${host}: choose another --port`, {
        cause: error,
      });
    case 'EADDRNOTAVAIL':
      return new ListenError('E_LISTEN', `${host} is no address of this machine: choose another --host`, {
        cause: error,
      });
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new ListenError('E_LISTEN', `the name ${host} cannot be resolved (${code}): choose another --host`, {
        cause: error,
      });
    default:
      return new ListenError(
        'E_LISTEN',
        `${host}, port ${port}, cannot be listened on (${error.message}): choose another --host or --port`,
        { cause: error },
      );
  }
}
