/** `lockstep export`: the newest checkpoint as a TensorFlow SavedModel. */
import { Command, InvalidArgumentError } from 'commander';
import { cacheDirectoryIn } from '@lockstep/config';
import { loadEngineHere } from '@lockstep/engine';
import { checkExportFolder, exportSavedModel } from '@lockstep/sampler';

/** Shapes are fixed in the graph; more images at once than this are a slip. */
const MOST_IMAGES = 4096;

function imageCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > MOST_IMAGES)
    throw new InvalidArgumentError(`write a whole number in 1..${MOST_IMAGES}.`);
  return value;
}

/** The command; `env` is process.env itself: the engine's settings are put there. */
export function exportCommand(env: NodeJS.ProcessEnv): Command {
  return new Command('export')
    .description("writes the newest checkpoint's network and EMA weights as a TensorFlow SavedModel")
    .argument('<directory>', 'directory of the run')
    .requiredOption('--out <folder>', 'folder to make, for tf.saved_model.load')
    .option('--images <number>', 'images that it takes at once', imageCount, 8)
    .action(async (run: string, { out, images }: { readonly out: string; readonly images: number }) => {
      // Before the engine is loaded, which takes seconds.
      checkExportFolder(out);
      // It is written as TensorFlow has it, whatever the run was computed by.
      const engine = loadEngineHere(
        { device: 'cpu', threads: 1, cache: cacheDirectoryIn(env), engine: 'tensorflow' },
        env,
      );
      const warn = (text: string): void => {
        process.stderr.write(`${text}\n`);
      };
      const step = await exportSavedModel({ run, out, images, engine, warn });
      process.stdout.write(`${out}: the network of the checkpoint of step ${step}, for ${images} images at once\n`);
    });
}
