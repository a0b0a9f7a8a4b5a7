/** Which tensors of a training state lie in which safetensors file of a checkpoint, and the way back. */
import { CheckpointError } from '../errors.js';
import { decodeSafetensors, encodeSafetensors, type SafetensorsFile } from './safetensors.js';
import {
  STATE_ARRAYS,
  stateLength,
  tableLength,
  type ParameterTable,
  type TensorSpan,
  type TrainingState,
} from './state.js';

type StateArray = (typeof STATE_ARRAYS)[number];

/** `prefix` goes before each parameter's name; several arrays in one file follow one another. */
const FILES: readonly {
  readonly name: string;
  readonly arrays: readonly { readonly key: StateArray; readonly prefix: string }[];
}[] = [
  { name: 'model.safetensors', arrays: [{ key: 'weights', prefix: '' }] },
  { name: 'ema.safetensors', arrays: [{ key: 'ema', prefix: '' }] },
  {
    name: 'optimizer.safetensors',
    arrays: [
      { key: 'expAvg', prefix: 'exp_avg.' },
      { key: 'expAvgSq', prefix: 'exp_avg_sq.' },
    ],
  },
];

export const TENSOR_FILE_NAMES: readonly string[] = FILES.map(({ name }) => name);

/** What a file's metadata says about its tensors when the publisher knows nothing more (kernel axes and the like). */
const DEFAULT_LAYOUT = 'parameters in the order of one flat float32 array; each in C order';

/**
 * The tensor files of a checkpoint as chunks that view the state's memory. `layout` goes into each file's metadata, for
 * whoever opens it without Lockstep.
 * @throws CheckpointError E_STATE_TABLE when table and state do not fit each other; E_SAFETENSORS_ENTRY for a bad name.
 */
export function encodeTensorFiles(
  state: TrainingState,
  table: ParameterTable,
  layout = DEFAULT_LAYOUT,
): { name: string; chunks: Uint8Array[] }[] {
  const covered = tableLength(table);
  const length = stateLength(state);
  if (covered !== length) {
    throw new CheckpointError(
      'E_STATE_TABLE',
      `the table covers ${covered} elements, the state has ${length}; pass the model's own table.`,
    );
  }
  return FILES.map(({ name, arrays }) => {
    const entries = arrays.flatMap(({ key, prefix }) =>
      table.map((span) => ({
        name: prefix + span.name,
        dtype: 'F32' as const,
        shape: span.shape,
        data: state[key].subarray(span.offset, span.offset + span.size),
      })),
    );
    return { name, chunks: encodeSafetensors(entries, { format: 'lockstep', step: String(state.step), layout }) };
  });
}

/**
 * State and table from the files' bytes, by name.
 * @throws CheckpointError E_CHECKPOINT_CORRUPT when the files do not agree with each other or with `step`;
 *   E_SAFETENSORS_* when one is malformed.
 */
export function decodeTensorFiles(
  files: ReadonlyMap<string, Uint8Array>,
  step: number,
): { state: TrainingState; table: ParameterTable } {
  const decoded = FILES.map(({ name, arrays }) => {
    const bytes = files.get(name);
    if (!bytes) throw new CheckpointError('E_CHECKPOINT_CORRUPT', `${name} is missing; use an older checkpoint.`);
    const file = decodeSafetensors(bytes);
    if (file.metadata['step'] !== String(step)) {
      throw new CheckpointError(
        'E_CHECKPOINT_CORRUPT',
        `${name} is of step ${file.metadata['step']}, not ${step}; use an older checkpoint.`,
      );
    }
    return { name, arrays, file };
  });
  const table = tableOf(decoded[0].file);
  const length = tableLength(table);
  const state = {
    step,
    weights: new Float32Array(length),
    expAvg: new Float32Array(length),
    expAvgSq: new Float32Array(length),
    ema: new Float32Array(length),
  };
  for (const { name, arrays, file } of decoded) {
    if (file.tensors.size !== arrays.length * table.length) {
      throw new CheckpointError(
        'E_CHECKPOINT_CORRUPT',
        `${name} has ${file.tensors.size} tensors, not ${arrays.length * table.length}; use an older checkpoint.`,
      );
    }
    for (const { key, prefix } of arrays)
      for (const span of table) state[key].set(tensorData(name, file, prefix, span), span.offset);
  }
  return { state, table };
}

function tableOf(file: SafetensorsFile): ParameterTable {
  let offset = 0;
  return [...file.tensors].map(([name, { shape, data }]) => {
    const span = { name, shape, offset, size: data.length };
    offset += data.length;
    return span;
  });
}

function tensorData(fileName: string, file: SafetensorsFile, prefix: string, span: TensorSpan): Float32Array {
  const tensor = file.tensors.get(prefix + span.name);
  if (tensor?.shape.join() !== span.shape.join()) {
    throw new CheckpointError(
      'E_CHECKPOINT_CORRUPT',
      `${fileName} lacks ${prefix}${span.name} of shape [${span.shape.join(', ')}]; use an older checkpoint.`,
    );
  }
  return tensor.data;
}
