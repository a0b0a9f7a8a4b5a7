export { sampleCommand } from './cli.js';
export { evaluateCommand } from './evaluate-command.js';
export { draw } from './draw.js';
export { SAMPLER_ERRORS, SamplerError } from './errors.js';
export type { DrawRequest, Drawn } from './draw.js';
export { gridPng } from './png.js';
