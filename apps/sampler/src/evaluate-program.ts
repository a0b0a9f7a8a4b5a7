/** The file of the evaluation as a program, for whoever starts it as a process of its own. */
import { fileURLToPath } from 'node:url';

/** Absolute path. */
export const EVALUATE_PROGRAM = fileURLToPath(new URL('evaluate-main.js', import.meta.url));
