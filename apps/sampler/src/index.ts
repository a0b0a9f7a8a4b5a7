export { sampleCommand } from './cli.js';
export { draw, SamplerError } from './draw.js';
export type { DrawRequest, Drawn } from './draw.js';
export { gridPng } from './png.js';
