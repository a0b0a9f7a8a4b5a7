/**
 * Checkpoints: state k published whole. A checkpoint is a folder
 *
 *   step-00001200/ model.safetensors  ema.safetensors  optimizer.safetensors  manifest.json
 *
 * that appears under its name in one rename, after every byte of it is on disk: a crash at any moment leaves the old
 * checkpoints and either the new one or nothing.
 */
import { dirname, join } from 'node:path';
import { FIRST_ARITHMETIC, messageOf, remedyFor, systemCode, type Arithmetic, type RunErrorCode } from '@lockstep/base';
import { canonicalJson, type JsonValue } from '../canonical-json.js';
import { decodeTensorFiles, encodeTensorFiles, TENSOR_FILE_NAMES } from './checkpoint-files.js';
import { nodeFs, randomNonce, TEMP_PREFIX, writeNewFile, type DurableFs } from '../durable-fs.js';
import { CheckpointError } from '../errors.js';
import {
  arithmeticOf,
  decodeManifest,
  encodeManifest,
  MANIFEST_NAME,
  MAX_MANIFEST_BYTES,
  sha256Of,
  type Manifest,
} from './manifest.js';
import { stateDigest, type ParameterTable, type TrainingState } from './state.js';

/** Node reads at most 2 GiB into one buffer; a model whose optimizer file is larger needs sharded files. */
export const MAX_TENSOR_FILE_BYTES = 2 ** 31 - 1;

export type PublishRequest = {
  readonly runId: string;
  /** Must not change until publish() settles: its memory is written as it lies. */
  readonly state: TrainingState;
  readonly table: ParameterTable;
  readonly model: JsonValue;
  /** Of the run: its state digests are in it. */
  readonly arithmetic: Arithmetic;
  /** What axes the tensors have, for readers without Lockstep; in the metadata of each tensor file. */
  readonly layout?: string;
  readonly generation?: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
};

/** `published` is false when the same checkpoint was there already. */
export type PublishResult = { readonly published: boolean; readonly manifest: Manifest };

export type Checkpoint = { readonly manifest: Manifest; readonly table: ParameterTable; readonly state: TrainingState };

export type SkippedCheckpoint = { readonly step: number; readonly code: RunErrorCode; readonly reason: string };

/** `skipped` lists the newer checkpoints that could not be used, newest first, for the caller to report. */
export type NewestCheckpoint = {
  readonly checkpoint: Checkpoint | undefined;
  readonly skipped: readonly SkippedCheckpoint[];
};

/** Where a run's checkpoints are kept. One writer at a time; any number of readers. */
export interface CheckpointStore {
  publish(request: PublishRequest): Promise<PublishResult>;
  /** Steps that have a checkpoint, rising; not verified. */
  list(): Promise<readonly number[]>;
  newest(upTo?: number): Promise<NewestCheckpoint>;
  read(step: number): Promise<Checkpoint>;
  /** Removes all but the newest `keep` whole checkpoints; returns the removed steps. */
  prune(keep: number): Promise<readonly number[]>;
}

const FOLDER_PATTERN = /^step-(\d{8,})$/;

/** The folder name of a step: zero-padded to 8 digits so that names sort as steps do. */
export function checkpointFolder(step: number): string {
  return `step-${String(step).padStart(8, '0')}`;
}

/** Checkpoints as folders under `root`, which is created on first use. */
export class DirectoryStore implements CheckpointStore {
  readonly #root: string;
  readonly #disk: DurableFs;
  readonly #nonce: () => string;
  /** Steps whose bytes this process has written or checked: prune need not read them again. */
  readonly #verified = new Set<number>();

  constructor(root: string, options: { readonly disk?: DurableFs; readonly nonce?: () => string } = {}) {
    this.#root = root;
    this.#disk = options.disk ?? nodeFs;
    this.#nonce = options.nonce ?? randomNonce;
  }

  /**
   * Publishes state k. The same state again is a no-op (after checking the one that is there); a broken checkpoint at
   * this step is replaced.
   * @throws CheckpointError E_CHECKPOINT_CONFLICT when a whole but different checkpoint has this step;
   *   E_CHECKPOINT_WRITE when it cannot be written (then nothing has changed, except that a failure in the very last sync
   *   may leave the new checkpoint, whole); E_STATE_TABLE, E_SAFETENSORS_ENTRY, E_JSON_VALUE for a bad request.
   */
  async publish(request: PublishRequest): Promise<PublishResult> {
    const { runId, state, table, model, arithmetic, layout, generation, createdAt } = request;
    const tensorFiles = encodeTensorFiles(state, table, layout);
    const files = tensorFiles.map(({ name, chunks }) => ({
      name,
      bytes: chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0),
      sha256: sha256Of(chunks),
    }));
    const large = files.find(({ bytes }) => bytes > MAX_TENSOR_FILE_BYTES);
    if (large)
      throw new CheckpointError(
        'E_CHECKPOINT_WRITE',
        `${large.name} would take ${large.bytes} bytes, above ${MAX_TENSOR_FILE_BYTES}; use a smaller model.`,
      );
    const manifest: Manifest = {
      ...{ runId, step: state.step, stateDigest: stateDigest(state, arithmetic), files, model, createdAt },
      ...(arithmetic !== FIRST_ARITHMETIC && { arithmetic }),
      ...(generation !== undefined && { generation }),
    };
    const manifestFile = { name: MANIFEST_NAME, chunks: [encodeManifest(manifest)] };

    const folder = checkpointFolder(state.step);
    const temp = `${TEMP_PREFIX}${folder}-${this.#nonce()}`;
    try {
      await this.#disk.makeFolder(this.#root);
      const existing = await this.#existing(state.step);
      if (existing === 'broken') await this.#disk.rename(this.#path(folder), this.#path(`${temp}-broken`));
      else if (existing !== 'none') {
        assertSame(existing, manifest);
        // The publish before may have failed in its last sync: only now is the folder known to be on disk.
        await this.#disk.syncFolder(this.#root);
        return { published: false, manifest: existing };
      }
      await this.#disk.makeFolder(this.#path(temp));
      for (const { name, chunks } of [...tensorFiles, manifestFile])
        await writeNewFile(this.#disk, this.#path(temp, name), chunks);
      await this.#disk.syncFolder(this.#path(temp));
      await this.#disk.rename(this.#path(temp), this.#path(folder));
      await this.#disk.syncFolder(this.#root);
      await this.#disk.syncFolder(dirname(this.#root));
      if (existing === 'broken') await this.#disk.remove(this.#path(`${temp}-broken`));
    } catch (error) {
      // sweep() removes what this cannot; the error that the caller must see is the first one.
      await this.#disk.remove(this.#path(temp)).catch(() => undefined);
      if (error instanceof CheckpointError) throw error;
      throw new CheckpointError(
        'E_CHECKPOINT_WRITE',
        `checkpoint ${folder} could not be written to ${this.#root}: ${messageOf(error)}. Older checkpoints are untouched; ` +
          `${remedyFor(error)}, and publish again.`,
        { cause: error },
      );
    }
    this.#verified.add(state.step);
    return { published: true, manifest };
  }

  async list(): Promise<readonly number[]> {
    const names = await this.#names();
    return names
      .map((name) => Number(FOLDER_PATTERN.exec(name)?.[1] ?? NaN))
      .filter((step, index) => Number.isSafeInteger(step) && checkpointFolder(step) === names[index])
      .sort((a, b) => a - b);
  }

  /**
   * The newest checkpoint, of a step up to `upTo`, that is whole, every byte checked, and why newer ones were passed over.
   * @throws CheckpointError E_CHECKPOINT_READ when the folder itself cannot be listed.
   */
  async newest(upTo = Infinity): Promise<NewestCheckpoint> {
    const skipped: SkippedCheckpoint[] = [];
    for (const step of [...(await this.list())].reverse()) {
      if (step > upTo) continue;
      try {
        return { checkpoint: await this.read(step), skipped };
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error;
        skipped.push({ step, code: error.code, reason: error.text });
      }
    }
    return { checkpoint: undefined, skipped };
  }

  /**
   * One checkpoint, after checking every file's size and sha256, the table, and the state's digest.
   * @throws CheckpointError E_CHECKPOINT_MISSING, E_CHECKPOINT_CORRUPT, E_CHECKPOINT_READ.
   */
  async read(step: number): Promise<Checkpoint> {
    const folder = checkpointFolder(step);
    if (!(await this.#names()).includes(folder)) {
      throw new CheckpointError(
        'E_CHECKPOINT_MISSING',
        `${this.#root} has no checkpoint of step ${step}; list the steps and take one of them.`,
      );
    }
    const manifest = decodeManifest(await this.#readFile(folder, MANIFEST_NAME, MAX_MANIFEST_BYTES));
    if (manifest.step !== step) corrupt(folder, `its manifest is of step ${manifest.step}`);
    if (manifest.files.map(({ name }) => name).join() !== TENSOR_FILE_NAMES.join())
      corrupt(folder, 'its manifest does not list the files of a checkpoint');
    const contents = new Map<string, Uint8Array>();
    for (const { name, bytes, sha256 } of manifest.files) {
      const content = await this.#readFile(folder, name, MAX_TENSOR_FILE_BYTES);
      if (content.length !== bytes) corrupt(folder, `${name} has ${content.length} bytes instead of ${bytes}`);
      if (sha256Of([content]) !== sha256) corrupt(folder, `${name} does not match its sha256`);
      contents.set(name, content);
    }
    const { state, table } = decodeChecked(folder, contents, step);
    if (stateDigest(state, arithmeticOf(manifest)) !== manifest.stateDigest)
      corrupt(folder, 'the state does not match its digest');
    this.#verified.add(step);
    return { manifest, table, state };
  }

  /** @throws CheckpointError E_CHECKPOINT_KEEP, or E_CHECKPOINT_WRITE when a folder cannot be removed. */
  async prune(keep: number): Promise<readonly number[]> {
    if (!Number.isSafeInteger(keep) || keep < 1)
      throw new CheckpointError(
        'E_CHECKPOINT_KEEP',
        `cannot keep ${keep} checkpoints; pass a whole number of at least 1.`,
      );
    const removed: number[] = [];
    let whole = 0;
    for (const step of [...(await this.list())].reverse()) {
      if (whole < keep) {
        // A broken checkpoint does not count: pruning must never leave fewer than `keep` usable ones.
        if (await this.#isWhole(step)) whole += 1;
        continue;
      }
      await this.#remove(step);
      removed.push(step);
    }
    return removed.reverse();
  }

  /** Removes what crashed writers left behind; returns the names. Call it when no publish is under way, at start-up. */
  async sweep(): Promise<readonly string[]> {
    const left = (await this.#names()).filter((name) => name.startsWith(TEMP_PREFIX));
    for (const name of left) await this.#disk.remove(this.#path(name));
    return left;
  }

  async #isWhole(step: number): Promise<boolean> {
    return this.#verified.has(step) || (await this.#existing(step)) !== 'broken';
  }

  async #existing(step: number): Promise<Manifest | 'none' | 'broken'> {
    try {
      return (await this.read(step)).manifest;
    } catch (error) {
      if (error instanceof CheckpointError && error.code === 'E_CHECKPOINT_MISSING') return 'none';
      if (error instanceof CheckpointError && error.code === 'E_CHECKPOINT_CORRUPT') return 'broken';
      throw error;
    }
  }

  /** Out of sight in one rename first, so that a crash half-way leaves no half checkpoint. */
  async #remove(step: number): Promise<void> {
    const folder = checkpointFolder(step);
    const doomed = this.#path(`${TEMP_PREFIX}${folder}-${this.#nonce()}-pruned`);
    try {
      await this.#disk.rename(this.#path(folder), doomed);
      this.#verified.delete(step);
      await this.#disk.remove(doomed);
    } catch (error) {
      throw new CheckpointError(
        'E_CHECKPOINT_WRITE',
        `${folder} could not be removed: ${messageOf(error)}; ${remedyFor(error)}.`,
        { cause: error },
      );
    }
  }

  async #names(): Promise<string[]> {
    try {
      return await this.#disk.list(this.#root);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return [];
      throw new CheckpointError(
        'E_CHECKPOINT_READ',
        `${this.#root} cannot be listed: ${messageOf(error)}; ${remedyFor(error)}.`,
        { cause: error },
      );
    }
  }

  async #readFile(folder: string, name: string, limit: number): Promise<Uint8Array> {
    const path = this.#path(folder, name);
    try {
      const size = await this.#disk.sizeOf(path);
      if (size > limit) corrupt(folder, `${name} has ${size} bytes, above the limit of ${limit}`);
      return await this.#disk.read(path);
    } catch (error) {
      if (error instanceof CheckpointError) throw error;
      if (systemCode(error) === 'ENOENT') return corrupt(folder, `${name} is missing`);
      throw new CheckpointError(
        'E_CHECKPOINT_READ',
        `${path} cannot be read: ${messageOf(error)}; ${remedyFor(error)}.`,
        {
          cause: error,
        },
      );
    }
  }

  #path(...names: string[]): string {
    return join(this.#root, ...names);
  }
}

function decodeChecked(
  folder: string,
  contents: ReadonlyMap<string, Uint8Array>,
  step: number,
): Omit<Checkpoint, 'manifest'> {
  try {
    return decodeTensorFiles(contents, step);
  } catch (error) {
    if (error instanceof CheckpointError && error.code !== 'E_CHECKPOINT_CORRUPT')
      return corrupt(folder, error.message);
    throw error;
  }
}

function assertSame(existing: Manifest, given: Manifest): void {
  const identity = ({ runId, step, stateDigest: digest, files, model }: Manifest): string =>
    canonicalJson({ runId, step, stateDigest: digest, files, model });
  if (identity(existing) === identity(given)) return;
  throw new CheckpointError(
    'E_CHECKPOINT_CONFLICT',
    `${checkpointFolder(given.step)} exists already with other content (run ${existing.runId}, digest ${existing.stateDigest}; ` +
      `given run ${given.runId}, digest ${given.stateDigest}); use a new run directory.`,
  );
}

function corrupt(folder: string, what: string): never {
  throw new CheckpointError('E_CHECKPOINT_CORRUPT', `${folder}: ${what}; use an older checkpoint, and check the disk.`);
}
