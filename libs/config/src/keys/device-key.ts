/** Where tensors are computed: runs and workers have the same choice. */
import { choiceKey } from '../key.js';

export const deviceKey = choiceKey({ default: 'cpu', choices: ['cpu', 'cuda'], doc: 'where tensors are computed' });
