export { DIFFUSION, moduleName, openRunTask, openTask, type RunTask } from './catalog.js';
