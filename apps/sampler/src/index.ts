export { DATA_DOC, sampleCommand } from './cli.js';
export { evaluateCommand } from './evaluate/evaluate-command.js';
export { draw } from './draw/draw.js';
export { checkExportFolder, exportSavedModel } from './export/export.js';
export type { ExportRequest } from './export/export.js';
export { SAMPLER_ERRORS, SamplerError } from './errors.js';
export type { DrawRequest, Drawn } from './draw/draw.js';
export { gridPng } from './picture/png.js';
