/** The coordinator's disk: what was written outlives its process, what was on its way does not. Writes come in order. */
import type { EngineDescription } from '@lockstep/comm';
import type { LedgerEntry } from '@lockstep/run';
import type { Publishing, RunLedger } from '@lockstep/coordinator';
import type { CoordinatorNode } from './coordinator-node.js';
import { MICROBATCHES } from './cluster.js';
import { samplesOf } from './numerics.js';
import { digestOf } from './virtual-engine.js';

export type Entry = Pick<LedgerEntry, 'digest'>;

export interface Disk {
  readonly entries: Entry[];
  generation: number;
  numerics: { readonly probe: string; readonly engine: EngineDescription } | null;
  readonly checkpoints: { readonly step: number; readonly digest: string }[];
  /** Undoes the newest write, as a disk does that lied about having it. */
  undo: (() => void) | null;
}

export class VirtualLedger implements RunLedger {
  private free = 0;
  private closed = false;

  constructor(private readonly node: CoordinatorNode) {}

  get(step: number): Entry | undefined {
    return this.node.cluster.disk.entries[step];
  }

  async setGeneration(generation: number): Promise<void> {
    await this.turn();
    const { disk } = this.node.cluster;
    const before = disk.generation;
    if (generation <= before) this.node.cluster.violation(`generation ${generation} is used again`);
    disk.generation = generation;
    disk.undo = () => (disk.generation = before);
  }

  async setClass(numerics: Disk['numerics']): Promise<void> {
    await this.turn();
    const { disk } = this.node.cluster;
    disk.numerics = numerics;
    disk.undo = () => (disk.numerics = null);
  }

  async admit(): Promise<'known'> {
    this.node.cluster.violation('a worker of another class is let into a strict run');
    return 'known';
  }

  async branch(): Promise<void> {
    this.node.cluster.violation('the ledger of a strict run is branched');
  }

  async append({ digest, at, ...record }: LedgerEntry): Promise<void> {
    // Its date is that of the decision.
    if (at !== this.node.clocks.wallNow())
      this.node.cluster.violation(`step ${record.step} is recorded with another time than people's`);
    await this.turn();
    const { cluster } = this.node;
    const { entries } = cluster.disk;
    const { step, samples, plan } = record;
    const expected = Array.from({ length: MICROBATCHES }, (_, microbatch) => samplesOf(step, microbatch));
    if (step !== entries.length) cluster.violation(`step ${step} is recorded after ${entries.length} steps`);
    if (digest !== cluster.truth[step + 1])
      cluster.violation(`step ${step} gave another state than the undisturbed run`);
    if (samples.join() !== expected.join() || plan.length !== MICROBATCHES)
      cluster.violation(`step ${step} used other samples than those of the plan`);
    entries.push({ digest });
    cluster.disk.undo = () => void entries.pop();
  }

  async close(): Promise<void> {
    await this.turn();
    this.closed = true;
  }

  private async turn(): Promise<void> {
    const { cluster, clock } = this.node;
    if (this.closed) cluster.violation('the ledger is written to after it was closed');
    const now = clock.now();
    this.free = Math.max(this.free, now) + cluster.world.random.between(0.5, 15);
    await this.node.wait(this.free - now);
  }
}

/** Checkpoints, as whole as they must be. */
export function virtualStore(node: CoordinatorNode): Publishing['store'] {
  let writing = false;
  return {
    async publish({ state }) {
      if (writing) node.cluster.violation('two checkpoints are written at once');
      writing = true;
      await node.wait(0, 50);
      writing = false;
      const { disk, truth } = node.cluster;
      const { step } = state;
      const digest = digestOf(state);
      if (digest !== truth[step]) node.cluster.violation(`the published state ${step} is not what was committed`);
      if (disk.checkpoints.some((other) => other.step === step)) return;
      disk.checkpoints.push({ step, digest });
      disk.undo = () => void disk.checkpoints.pop();
    },
    async prune() {
      // Each is kept, to be looked at.
    },
  };
}
