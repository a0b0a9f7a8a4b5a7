/**
 * Which GPU each of several worker processes on this machine uses: one each, by CUDA_VISIBLE_DEVICES, for the binding computes
 * on one GPU a process, and two processes on one would share its memory and time.
 */
import { readdirSync } from 'node:fs';
import { ConfigError } from './errors.js';
import type { UpConfig } from './keys/up-schema.js';
import { shownGpus } from './process-variables.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** A number, or the UUID of a GPU or of a part of one (MIG). CUDA ignores whatever follows a name that it does not know. */
const GPU_NAME = /^(\d+|(GPU|MIG)-[\w/-]+)$/;
/** The driver's node of one GPU. A container has those of the GPUs that it was given, and CUDA counts these from 0. */
const GPU_NODE = /^nvidia\d+$/;

/**
 * Names of the GPUs that a process with this environment sees, as CUDA_VISIBLE_DEVICES takes them.
 *
 * @param devices names in /dev
 */
export function visibleGpus(env: Environment, devices: readonly string[]): string[] {
  const given = shownGpus(env);
  if (given === null) return devices.filter((name) => GPU_NODE.test(name)).map((_, index) => String(index));
  const names = given.split(',').map((name) => name.trim());
  const end = names.findIndex((name) => !GPU_NAME.test(name));
  return end === -1 ? names : names.slice(0, end);
}

/** {@link visibleGpus} of this machine. */
export function localGpus(env: Environment): string[] {
  return visibleGpus(env, readdirSync('/dev'));
}

/**
 * What to add to each worker's environment so that each computes in its own place.
 *
 * @param gpus as localGpus gives them; not looked at on the CPU
 * @throws {ConfigError} E_CONFIG_GPUS where there are fewer GPUs than workers, or none
 */
export function workerPlaces(
  device: UpConfig['device'],
  workers: number,
  gpus: readonly string[],
): Record<string, string>[] {
  if (device === 'cuda' && (gpus.length === 0 || workers > gpus.length))
    throw new ConfigError(
      'E_CONFIG_GPUS',
      gpus.length === 0
        ? 'no GPU is visible; check nvidia-smi, CUDA_VISIBLE_DEVICES and the container runtime, or set LOCKSTEP_DEVICE=cpu'
        : `${workers} workers need a GPU each, and ${gpus.length} can be seen (${gpus.join(', ')}); use --workers ${gpus.length}`,
    );
  return Array.from({ length: workers }, (_, index) =>
    device === 'cuda' ? { CUDA_VISIBLE_DEVICES: gpus[index] } : {},
  );
}
