/**
 * Golden values of schedules, forward and reverse steps, computed independently of this code in float64, to the digits given.
 */

/** beta_t = b1 + (bT - b1) t / T for t = 0..T, b1 = 1e-4, bT = 0.02; alphaBar includes beta_0. T = 1000 but where it says 4. */
export const SEED_SCHEDULE = {
  alphaBar: {
    0: 0.9999,
    1: 0.99978011199,
    2: 0.99964034273,
    100: 0.895231772072,
    500: 0.0779923231881,
    1000: 3.99520240597e-5,
  },
  oneMinusAlphaOverSqrtOneMinusAlphaBar: { 1: 0.008085714611, 500: 0.0104664353, 1000: 0.02000039953 },
  alphaBarOfT4: [0.9999, 0.9948255075, 0.9848275111, 0.9700304778, 0.9506298682],
  /** x_t for x0 = 0.5, eps = 0.25 */
  qSample: { 1: 0.5036521803, 500: 0.3796886055, 1000: 0.2531553866 },
  /** x_(t-1) for x_t = 0.5, eps = 0.25, z = -1, sigma = sqrt(beta) */
  reverseStep: { 1: 0.4980084278, 2: 0.4863682156, 500: 0.3996520525, 1000: 0.3586040524 },
} as const;

/** T = 1000 betas evenly spaced from 1e-4 to 0.02. */
export const LINEAR_SCHEDULE = {
  alphaBar: { 1: 0.9999, 2: 0.999780092072, 500: 0.0785872428818, 1000: 4.03582976538e-5 },
  minSnr5WeightAt100: 0.57402325,
} as const;

/** T = 1000, s = 0.008 */
export const COSINE_SCHEDULE = { alphaBar: { 500: 0.4938435904 }, beta: { 1: 4.128422482e-5 } } as const;

export const SIGMOID_SCHEDULE = { alphaBar: { 500: 0.5 } } as const;

/**
 * Distribution of the samples when the data are normal with mean 0.3 and standard deviation 0.5 and eps is exact:
 * eps = sqrt(1 - alphaBar) (x - sqrt(alphaBar) 0.3) / (0.25 alphaBar + 1 - alphaBar).
 */
export const WHOLE_SAMPLER = {
  seedSigmaSqrtBeta: { mean: 0.299982002, std: 0.500806665 },
  seedSigmaPosterior: { mean: 0.299982002, std: 0.496230544 },
  linearSigmaSqrtBeta: { mean: 0.299996973, std: 0.50075151 },
  linearDdim1000: { mean: 0.299049945, std: 0.498495283 },
  linearDdim50: { mean: 0.299101579, std: 0.471402673 },
  linearDpmpp2m20: { mean: 0.299088604, std: 0.478210609 },
  linearDpmpp2m50: { mean: 0.299046028, std: 0.500550586 },
} as const;

/** Parameters of the seed tutorial's network by its number of features. */
export const SEED_PARAMETERS = { 16: 55_665, 32: 220_385, 64: 876_993, 128: 3_498_881 } as const;

/**
 * Mean loss over t = 1..1000 of the best predictor that knows no more of MNIST than the mean and deviation of its pixels: what a
 * network has to fall below. To four digits; a network that predicts zero has 1.
 */
export const ISOTROPIC_OPTIMUM = { seed: 0.2004, cosine: 0.3759 } as const;

/** Frechet distance, squared, of two normal distributions in the plane. */
export const FRECHET_2D = {
  mu1: [0, 0],
  mu2: [1, -2],
  cov1: [
    [2, 0.5],
    [0.5, 1],
  ],
  cov2: [
    [1, -0.3],
    [-0.3, 3],
  ],
  distance: 5.929311854967773,
} as const;
