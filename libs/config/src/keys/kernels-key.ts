/** Which of our own kernels compute. Every choice has the same bits: others than the fastest are for tests and comparisons. */
import { choiceKey } from '../key.js';

/** By their names in programs.node (libs/engine), and what stands for the best of them here. */
export const KERNEL_CHOICES = ['fastest', 'plain', 'avx2', 'avx512'] as const;

export const kernelsKey = choiceKey({
  default: 'fastest',
  choices: KERNEL_CHOICES,
  doc: 'instructions of the processor that programs use; no bit depends on them',
});
