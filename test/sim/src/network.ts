/** Control connections, by which messages come late, or never, but in order in each direction. */
import type { CoordinatorMessage, DialEvents, Pipe, PipeEvents, WorkerMessage } from '@lockstep/comm';
import type { Cluster } from './cluster.js';
import type { CoordinatorNode } from './coordinator-node.js';
import type { SimulatedProcess } from './process.js';
import type { WorkerNode } from './worker-node.js';

type Direction = 'up' | 'down';

/** Neither end is told of what happens to the other but by what arrives. */
class End<Said, Heard> implements Pipe<Said> {
  open = false;
  gone = false;
  events: PipeEvents<Heard> | null = null;
  peer: End<Heard, Said> | null = null;
  private closing = false;

  constructor(
    private readonly connection: Connection,
    private readonly direction: Direction,
    private readonly process: SimulatedProcess,
    private readonly inspect: (message: Said) => void,
    private readonly onClosing: (reason: string) => void = () => undefined,
  ) {}

  send(message: Said): void {
    if (!this.open) return;
    this.inspect(message);
    this.connection.carry(this.direction, () => this.peer?.hear(message));
  }

  close(_code: number, reason: string): void {
    if (this.gone || this.closing) return;
    this.onClosing(reason);
    this.closing = true;
    this.open = false;
    this.connection.carry(this.direction, () => this.peer?.closed(reason));
  }

  terminate(): void {
    if (this.gone) return;
    this.connection.carry(this.direction, () => this.peer?.lost());
    this.connection.soon(() => this.lost());
    this.open = false;
  }

  opened(then: () => void): void {
    this.process.post(() => {
      if (this.gone) return;
      this.open = true;
      then();
    });
  }

  /** Its process ended: whoever is at the other end is told by the kernel. */
  vanish(): void {
    if (this.gone) return;
    this.gone = true;
    this.open = false;
    this.connection.carry(this.direction, () => this.peer?.lost());
  }

  /** As after a reset that this end alone was told of. */
  lost(reason = 'its connection closed (1006)'): void {
    this.process.post(() => {
      if (this.gone) return;
      this.gone = true;
      this.open = false;
      this.events?.onClose(reason);
    });
  }

  private hear(message: Heard): void {
    this.process.post(() => {
      if (!this.gone) this.events?.onMessage(message, 1);
    });
  }

  /** The other end closed it, which this one answers. */
  private closed(reason: string): void {
    this.process.post(() => {
      if (this.gone) return;
      this.connection.carry(this.direction, () => this.peer?.lost(reason));
      this.lost(reason);
    });
  }
}

export class Connection {
  /** The worker process that dialled. */
  readonly instance: string;
  readonly workerEnd: End<WorkerMessage, CoordinatorMessage>;
  coordinatorEnd: End<CoordinatorMessage, WorkerMessage> | null = null;
  /** Directions in which nothing arrives any more, though neither end is told. */
  private readonly cuts = { up: false, down: false };
  private readonly lastArrival = { up: 0, down: 0 };

  constructor(
    private readonly cluster: Cluster,
    worker: WorkerNode,
  ) {
    this.instance = worker.instance;
    this.workerEnd = new End<WorkerMessage, CoordinatorMessage>(this, 'up', worker, () => undefined);
  }

  /** What was lost never comes: a connection that was cut is not whole again. */
  cut(up: boolean, down: boolean): void {
    this.cuts.up ||= up;
    this.cuts.down ||= down;
  }

  dial(coordinator: CoordinatorNode, onOpen: () => void): void {
    const { workerEnd } = this;
    let greeted = false;
    const end = new End<CoordinatorMessage, WorkerMessage>(
      this,
      'down',
      coordinator,
      (message) => coordinator.says(message),
      (reason) => {
        if (greeted && reason === 'E_NO_HELLO')
          this.cluster.violation('the coordinator closes a connection for want of a hello that it heard');
      },
    );
    end.peer = workerEnd;
    workerEnd.peer = end;
    this.coordinatorEnd = end;
    coordinator.post(() => {
      end.open = true;
      const events = coordinator.accept(this);
      if (events === null) return end.vanish();
      end.events = {
        ...events,
        onMessage: (message, bytes) => {
          coordinator.hears(this, message);
          greeted = true;
          events.onMessage(message, bytes);
        },
      };
      this.carry('down', () => workerEnd.opened(onOpen));
    });
  }

  carry(direction: Direction, arrive: () => void): void {
    const { world } = this.cluster;
    const at = Math.max(this.lastArrival[direction], world.now + this.cluster.latency());
    this.lastArrival[direction] = at;
    world.after(at - world.now, () => {
      if (!this.cuts[direction]) arrive();
    });
  }

  /** Not within what happens now. */
  soon(act: () => void): void {
    this.cluster.world.after(0, act);
  }
}

/** A worker dials whoever is the coordinator by the time that the dial arrives. */
export function dial(cluster: Cluster, worker: WorkerNode, timeoutMs: number, events: DialEvents): Connection {
  const { world } = cluster;
  const connection = new Connection(cluster, worker);
  const { workerEnd } = connection;
  workerEnd.events = events;
  let opened = false;
  world.after(cluster.latency(), () => {
    const { coordinator } = cluster;
    if (coordinator?.alive === true)
      connection.dial(coordinator, () => {
        opened = true;
        events.onOpen();
      });
    else world.after(cluster.latency(), () => workerEnd.lost());
  });
  world.after(timeoutMs, () => {
    if (!opened) workerEnd.terminate();
  });
  return connection;
}
