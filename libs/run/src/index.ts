export { CheckpointError } from './errors.js';
export { canonicalJson, type JsonValue } from './canonical-json.js';
export {
  decodeSafetensors,
  encodeSafetensors,
  MAX_HEADER_BYTES,
  type SafetensorsEntry,
  type SafetensorsFile,
} from './checkpoint/safetensors.js';
export {
  decodeState,
  encodedStateBytes,
  encodeState,
  STATE_ARRAYS,
  stateDigest,
  stateFingerprints,
  stateLength,
  tableLength,
  type ParameterTable,
  type TensorSpan,
  type TrainingState,
} from './checkpoint/state.js';
export { nodeFs, type DurableFs, type NewFile } from './durable-fs.js';
export { arithmeticOf, type Manifest, type ManifestFile } from './checkpoint/manifest.js';
export {
  checkpointFolder,
  DirectoryStore,
  type Checkpoint,
  type CheckpointStore,
  type NewestCheckpoint,
  type PublishRequest,
  type PublishResult,
  type SkippedCheckpoint,
} from './checkpoint/checkpoint.js';
export {
  RUN_FILE_NAME,
  findRun,
  makeRunFolders,
  openRun,
  readRun,
  runPaths,
  type DatasetDescription,
  type OpenedRun,
  type RunPaths,
  type RunRecord,
} from './record/run.js';
export { configToStore, storedRun, type StoredRun, type TaskReference } from './record/stored-run.js';
export { keepOrigin, originOf, readOrigin } from './record/origin.js';
export { readCoordinatorAddress, writeCoordinatorAddress, type CoordinatorAddress } from './record/address.js';
export { FIRST_STEP, type LedgerEntry } from './ledger/ledger-entry.js';
export { LedgerReader, type ChainReport } from './ledger/ledger-reader.js';
export {
  MAX_ADMITTED,
  MAX_BRANCHES,
  type Admission,
  type Branch,
  type NumericsClass,
  type Origin,
} from './ledger/ledger-records.js';
export { Ledger, type AdmitResult, type AppendResult } from './ledger/ledger.js';
export { fetchState, type WantedState } from './checkpoint/fetch-state.js';
export { openOutput, type OutputFile, type OutputSink } from './output/output-file.js';
export {
  joinTraces,
  NO_TRACE,
  openTrace,
  type Trace,
  type TraceTarget,
  type TraceValues,
} from './output/trace-file.js';
export {
  encodeEvaluation,
  parseEvaluation,
  type Beside,
  type ClassCounts,
  type ClosestPair,
  type Evaluation,
  type TrainingDistance,
} from './record/evaluation.js';
