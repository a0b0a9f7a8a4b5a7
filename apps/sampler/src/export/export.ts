/** A run's newest checkpoint as a TensorFlow SavedModel, for use without Lockstep. */
import { randomUUID } from 'node:crypto';
import { lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { systemReason } from '@lockstep/base';
import { CheckpointError, openOutput } from '@lockstep/run';
import { savedPrediction } from '@lockstep/diffusion';
import type { Engine } from '@lockstep/engine';
import { mustBeAble } from '../ability.js';
import { newestCheckpoint, storedModel } from '../draw/draw.js';
import { SamplerError } from '../errors.js';

export interface ExportRequest {
  /** The run's directory. */
  readonly run: string;
  /** Folder to make. */
  readonly out: string;
  /** Images that the model takes at once. */
  readonly images: number;
  readonly engine: Engine;
  readonly warn: (text: string) => void;
}

/**
 * Looks at the folder that is to be made, and makes those above it.
 * @throws SamplerError E_EXPORT_EXISTS; CheckpointError E_OUTPUT_PATH
 */
export function checkExportFolder(out: string): void {
  if (isTaken(out))
    throw new SamplerError('E_EXPORT_EXISTS', `${out} is there already; take it away, or choose another --out`);
  // What is true of a new file in that place is true of a new folder.
  openOutput(out.replace(/\/+$/, ''), { makeFolder: true });
}

/** Also by a link to nowhere. */
function isTaken(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // What is wrong with the name openOutput says.
    return false;
  }
}

/**
 * Writes the folder, whole or not at all: saved_model.pb, which takes x [images, rows, columns, channels], t [images] and, of a
 * conditional network, labels [images], and gives eps or v in x's shape, from the moving average; and recipe.json, with the
 * schedule, what the network sees of a timestep, how many classes it knows and which of both it predicts.
 * @returns the step of the checkpoint
 * @throws SamplerError E_EXPORT_EXISTS, E_SAMPLE_NO_CHECKPOINT, E_SAMPLE_MODEL; TaskError E_TASK_CANNOT; CheckpointError, also E_OUTPUT_*; EngineError
 */
export async function exportSavedModel({ run, out, images, engine, warn }: ExportRequest): Promise<number> {
  checkExportFolder(out);
  await mustBeAble(run, 'export');
  const checkpoint = await newestCheckpoint({ run, warn });
  const { recipe, weights } = storedModel(checkpoint);
  const model = savedPrediction(engine, recipe, weights, images);
  const temporary = join(dirname(resolve(out)), `.tmp-${randomUUID()}`);
  try {
    mkdirSync(temporary);
    writeFileSync(join(temporary, 'saved_model.pb'), model);
    writeFileSync(join(temporary, 'recipe.json'), `${JSON.stringify(recipe, null, 2)}\n`);
    renameSync(temporary, out);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw new CheckpointError(
      'E_OUTPUT_WRITE',
      `${out} cannot be written: ${systemReason(error)}; make room, or name another folder`,
      {
        cause: error,
      },
    );
  }
  return checkpoint.state.step;
}
