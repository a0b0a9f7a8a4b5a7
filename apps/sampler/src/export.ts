/** A run's newest checkpoint as a TensorFlow SavedModel, for use without Lockstep. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { savedPrediction } from '@lockstep/diffusion';
import type { Engine } from '@lockstep/engine';
import { newestCheckpoint, storedModel } from './draw.js';
import { SamplerError } from './errors.js';

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
 * Writes the folder, whole or not at all: saved_model.pb, which takes x [images, rows, columns, channels], t [images] and, of a
 * conditional network, labels [images], and gives eps or v in x's shape, from the moving average; and recipe.json, with the
 * schedule, what the network sees of a timestep, how many classes it knows and which of both it predicts.
 * @returns the step of the checkpoint
 * @throws SamplerError E_EXPORT_EXISTS, E_SAMPLE_NO_CHECKPOINT, E_SAMPLE_MODEL; CheckpointError; EngineError
 */
export async function exportSavedModel({ run, out, images, engine, warn }: ExportRequest): Promise<number> {
  if (existsSync(out))
    throw new SamplerError('E_EXPORT_EXISTS', `${out} is there already; take it away, or choose another --out`);
  const checkpoint = await newestCheckpoint({ run, warn });
  const { recipe, weights } = storedModel(checkpoint);
  const temporary = `${resolve(out)}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(temporary), { recursive: true });
    mkdirSync(temporary);
    writeFileSync(join(temporary, 'saved_model.pb'), savedPrediction(engine, recipe, weights, images));
    writeFileSync(join(temporary, 'recipe.json'), `${JSON.stringify(recipe, null, 2)}\n`);
    renameSync(temporary, out);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  return checkpoint.state.step;
}
