/**
 * Where everything lies. Copies are left out whose source can be made where it is copied to (a part of an output, above all);
 * elementwise results are written over inputs that nobody needs any more; and what lives at different times shares cells of one arena.
 */
import type { Buffer, Draft, Step } from './draft.js';
import { accessOf, sideBySide, type Access } from './instructions.js';
import type { Storage } from './values.js';

/** A storage that lies within another one, from `offset` on. */
type Within = { readonly storage: Storage; readonly offset: number };

/** Where storages that share an arena start, and what of them there is. */
export type Placed = {
  readonly steps: readonly Step[];
  readonly stageEnds: readonly number[];
  /** Each buffer's own storage, and its place in it, with what lies within another storage resolved. */
  readonly buffers: readonly Buffer[];
  /** The start of each storage in the arena, in cells. */
  readonly starts: ReadonlyMap<Storage, number>;
  /** Cells. */
  readonly arena: number;
  readonly withoutReuse: number;
};

/** Cells of a cache line: where storages start. */
const ALIGNMENT = 16;
const aligned = (cells: number): number => Math.ceil(cells / ALIGNMENT) * ALIGNMENT;

/**
 * @param stageEnds how many instructions have run at the end of each stage
 * @param outputStages the stage of each output
 */
export function place(draft: Draft, stageEnds: readonly number[], outputStages: readonly number[]): Placed {
  const accesses = draft.steps.map((step) => accessOf(step));
  const within = new Map<Storage, Within>();
  const find = (buffer: Buffer): Buffer => {
    const outer = within.get(buffer.storage);
    return outer === undefined ? buffer : find({ storage: outer.storage, offset: outer.offset + buffer.offset });
  };
  const left = leaveOutCopies(draft, accesses, stageEnds, outputStages, within);
  const kept = draft.steps.flatMap((_, index) => (left.has(index) ? [] : [index]));
  const steps = kept.map((index) => draft.steps[index]);
  const buffers = draft.buffers.map(find);
  const lives = livesOf(
    steps,
    kept.map((index) => accesses[index]),
    buffers,
  );
  const blocks = overwrite(
    steps,
    kept.map((index) => accesses[index]),
    buffers,
    lives,
  );
  const { starts, arena } = arrange(blocks);
  return {
    steps,
    stageEnds: stageEnds.map((end) => kept.filter((index) => index < end).length),
    buffers,
    starts,
    arena,
    withoutReuse: [...lives.keys()].reduce((sum, { size }) => sum + aligned(size), 0),
  };
}

/** Positions of the copies that need not be made, because their source can be made in its place; `within` gets those. */
function leaveOutCopies(
  draft: Draft,
  accesses: readonly Access[],
  stageEnds: readonly number[],
  outputStages: readonly number[],
  within: Map<Storage, Within>,
): Set<number> {
  const stageOf = (position: number): number => stageEnds.findIndex((end) => position < end);
  const lastReads = new Map<Storage, number>();
  accesses.forEach(({ reads }, position) => {
    for (const { operand } of reads)
      lastReads.set(draft.buffers[draft.steps[position].operands[operand]].storage, position);
  });
  const outermost = (storage: Storage): Storage => {
    const outer = within.get(storage);
    return outer === undefined ? storage : outermost(outer.storage);
  };
  /** When the storage and all that lies in it is read last. */
  const lastRead = (storage: Storage): number =>
    Math.max(
      lastReads.get(storage) ?? -1,
      ...[...within].filter(([, outer]) => outer.storage === storage).map(([inner]) => lastRead(inner)),
    );
  const left = new Set<number>();
  // From the end, so that what goes into an output is known before what goes into a part of it.
  for (let position = draft.steps.length - 1; position >= 0; position--) {
    const { name, operands } = draft.steps[position];
    if (name !== 'copy') continue;
    const [from, to] = [draft.buffers[operands[0]], draft.buffers[operands[1]]];
    const { reads, writes } = accesses[position];
    const whole = from.offset === 0 && sideBySide(reads[0]) === from.storage.size && sideBySide(writes[0]) !== null;
    if (!whole || from.storage.kind !== 'arena' || within.has(from.storage)) continue;
    // Copies into one storage go to different places of it; another instruction may write to all of it.
    if (draft.writers(to.storage).some((writer) => draft.steps[writer].name !== 'copy')) continue;
    const target = outermost(to.storage);
    if (target === from.storage) continue;
    // Whoever takes an output may write to it as soon as its stage has run.
    if (target.kind === 'output' && stageOf(lastRead(from.storage)) > outputStages[target.index]) continue;
    within.set(from.storage, { storage: to.storage, offset: to.offset });
    left.add(position);
  }
  return left;
}

type Life = { first: number; last: number };

/** From the instruction that first writes to each storage of the arena to the last that uses it. */
function livesOf(steps: readonly Step[], accesses: readonly Access[], buffers: readonly Buffer[]): Map<Storage, Life> {
  const lives = new Map<Storage, Life>();
  accesses.forEach(({ reads, writes }, position) => {
    for (const { operand } of [...reads, ...writes]) {
      const { storage } = buffers[steps[position].operands[operand]];
      if (storage.kind !== 'arena') continue;
      const life = lives.get(storage);
      if (life === undefined) lives.set(storage, { first: position, last: position });
      else life.last = position;
    }
  });
  return lives;
}

/** Storages that take the same cells one after the other. */
type Block = { readonly storages: Storage[]; readonly size: number; readonly first: number; last: number };

function overwrite(
  steps: readonly Step[],
  accesses: readonly Access[],
  buffers: readonly Buffer[],
  lives: ReadonlyMap<Storage, Life>,
): Block[] {
  const blockOf = new Map<Storage, Block>();
  const blocks: Block[] = [];
  steps.forEach(({ operands }, position) => {
    const { reads, writes, inPlace } = accesses[position];
    for (const write of writes) {
      const { storage } = buffers[operands[write.operand]];
      const life = lives.get(storage);
      if (life === undefined || life.first !== position || blockOf.has(storage)) continue;
      const isOver = (input: Storage): boolean =>
        inPlace &&
        input !== storage &&
        input.size === storage.size &&
        sideBySide(write) === storage.size &&
        lives.get(input)?.last === position &&
        blockOf.get(input)?.last === position &&
        // All that is read of it is read in order.
        reads.every((read) => buffers[operands[read.operand]].storage !== input || sideBySide(read) === storage.size);
      const ending = reads.map((read) => buffers[operands[read.operand]].storage).find(isOver);
      const known = ending === undefined ? undefined : blockOf.get(ending);
      const block = known ?? { storages: [], size: storage.size, first: life.first, last: life.last };
      if (known === undefined) blocks.push(block);
      block.storages.push(storage);
      block.last = life.last;
      blockOf.set(storage, block);
    }
  });
  return blocks;
}

/** Largest first, each in the smallest gap that is free while it lives. */
function arrange(blocks: readonly Block[]): { starts: Map<Storage, number>; arena: number } {
  const placed: { block: Block; start: number; end: number }[] = [];
  let arena = 0;
  for (const block of [...blocks].sort((a, b) => b.size - a.size || a.first - b.first)) {
    const size = aligned(block.size);
    const beside = placed
      .filter((one) => one.block.first <= block.last && block.first <= one.block.last)
      .sort((a, b) => a.start - b.start);
    let start: number | null = null;
    let smallest = Infinity;
    let free = 0;
    for (const one of beside) {
      const gap = one.start - free;
      if (gap >= size && gap < smallest) {
        smallest = gap;
        start = free;
      }
      free = Math.max(free, one.end);
    }
    start ??= free;
    placed.push({ block, start, end: start + size });
    arena = Math.max(arena, start + size);
  }
  const starts = new Map(
    placed.flatMap(({ block, start }) => block.storages.map((storage) => [storage, start] as const)),
  );
  return { starts, arena };
}
