export { DATA_DOC, sampleCommand } from './cli.js';
export { evaluateCommand } from './evaluate-command.js';
export { draw } from './draw.js';
export { checkExportFolder, exportSavedModel } from './export.js';
export type { ExportRequest } from './export.js';
export { SAMPLER_ERRORS, SamplerError } from './errors.js';
export type { DrawRequest, Drawn } from './draw.js';
export { gridPng } from './png.js';
