/** What computes a run's gradients. A run has one for good, as their bits depend on it. */
export const ENGINES = ['program', 'tensorflow'] as const;
export type EngineName = (typeof ENGINES)[number];

/** Of runs from before there were two. */
export const FIRST_ENGINE: EngineName = 'tensorflow';
/** Of new runs. */
export const DEFAULT_ENGINE: EngineName = 'program';
