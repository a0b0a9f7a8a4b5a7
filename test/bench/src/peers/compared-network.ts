/** The network that peers are measured against: of width 32, without labels, predicting eps, as the DDPM tutorials' are. */
import type { RecipeChoice } from '@lockstep/diffusion';

export const NETWORK = {
  preset: 'default',
  baseWidth: 32,
  classes: 0,
  prediction: 'eps',
} as const satisfies RecipeChoice;

/** The same for `lockstep up` and the coordinator. */
export const NETWORK_FLAGS: readonly string[] = [
  ...['--preset', NETWORK.preset, '--base-width', String(NETWORK.baseWidth)],
  ...['--classes', String(NETWORK.classes), '--prediction', NETWORK.prediction],
];
