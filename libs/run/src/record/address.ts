/**
 * coordinator.json in a run's directory: where the run's coordinator listens. Each coordinator replaces it when it starts, and
 * nobody removes it: whether the coordinator still lives, only asking it tells.
 */
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { messageOf, remedyFor, systemCode } from '@lockstep/base';
import { nodeFs, randomNonce, TEMP_PREFIX, writeNewFile, type DurableFs } from '../durable-fs.js';
import { CheckpointError } from '../errors.js';
import { runPaths } from './run.js';

/** An address and a number: more than this is damage, not to be read into memory. */
const MAX_ADDRESS_FILE_BYTES = 4_096;

const addressSchema = z.strictObject({ address: z.url({ protocol: /^https?$/ }).max(512), pid: z.int().positive() });

export type CoordinatorAddress = {
  /** http://host:port */
  readonly address: string;
  /** Process id of the coordinator, on its own machine. */
  readonly pid: number;
};

/**
 * Leaves the coordinator's address in the run directory `root`, in place of an older one; a reader sees either, whole.
 * @throws CheckpointError E_RUN_WRITE.
 */
export async function writeCoordinatorAddress(
  root: string,
  { address, pid }: CoordinatorAddress,
  options: { readonly disk?: DurableFs; readonly nonce?: () => string } = {},
): Promise<void> {
  const disk = options.disk ?? nodeFs;
  const path = runPaths(root).address;
  const temp = `${dirname(path)}/${TEMP_PREFIX}${basename(path)}-${(options.nonce ?? randomNonce)()}`;
  try {
    await writeNewFile(disk, temp, [Buffer.from(`${JSON.stringify({ address, pid })}\n`, 'utf8')]);
    await disk.rename(temp, path);
  } catch (error) {
    // A temporary file left behind is harmless; the error that the caller must see is the first one.
    await disk.remove(temp).catch(() => undefined);
    throw new CheckpointError('E_RUN_WRITE', `${path} cannot be written: ${messageOf(error)}; ${remedyFor(error)}.`, {
      cause: error,
    });
  }
}

/** What the last coordinator of the run in `root` left, or null if none did. @throws CheckpointError E_RUN_CORRUPT. */
export async function readCoordinatorAddress(
  root: string,
  options: { readonly disk?: DurableFs } = {},
): Promise<CoordinatorAddress | null> {
  const disk = options.disk ?? nodeFs;
  const path = runPaths(root).address;
  try {
    if ((await disk.sizeOf(path)) > MAX_ADDRESS_FILE_BYTES)
      throw new Error(`it is larger than ${MAX_ADDRESS_FILE_BYTES} bytes`);
    return addressSchema.parse(JSON.parse(Buffer.from(await disk.read(path)).toString('utf8')));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw new CheckpointError(
      'E_RUN_CORRUPT',
      `${path} cannot be read: ${messageOf(error)}; delete it, and give the coordinator's address instead.`,
      { cause: error },
    );
  }
}
