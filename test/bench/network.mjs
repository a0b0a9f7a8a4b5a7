/** The network that peers are measured against: the default's without labels, predicting eps, as every DDPM tutorial has it. */
export const NETWORK = { preset: 'default', classes: 0, prediction: 'eps' };

/** The same for `lockstep up` and the coordinator. */
export const NETWORK_FLAGS = Object.entries(NETWORK).flatMap(([key, value]) => [`--${key}`, String(value)]);
