export { DIFFUSION, moduleName, openTask } from './catalog.js';
