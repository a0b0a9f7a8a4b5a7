/** What is chosen of a network and its recipe where diffusion is trained; a task of the user's own has options in place of these. */
import { choiceKey, optionalChoiceKey, optionalFractionKey, optionalIntegerKey } from '../key.js';

export const diffusionKeys = {
  preset: choiceKey({
    default: 'default',
    choices: ['default', 'tiny', 'seed', 'seed-16', 'seed-64', 'seed-128'],
    doc: 'network and recipe; seed: the tutorial that this project comes from, with 32 features; seed-F: with F',
  }),
  timesteps: optionalChoiceKey({
    choices: ['uniform', 'stratified'],
    doc: "how timesteps are drawn over a global batch; null: the preset's",
  }),
  schedule: optionalChoiceKey({
    choices: ['seed', 'linear', 'cosine', 'sigmoid'],
    doc: "noise schedule; null: the preset's",
  }),
  prediction: optionalChoiceKey({
    choices: ['eps', 'v'],
    doc: "what the network predicts: the noise, or v, a mixture of noise and image; null: the preset's",
  }),
  lossWeighting: optionalChoiceKey({
    choices: ['none', 'min-snr'],
    doc: "weight of a sample's loss by its timestep; null: the preset's",
  }),
  baseWidth: optionalIntegerKey({
    min: 1,
    doc: "channels of the network's first level, of which the others' are multiples (the seed's F); null: the preset's",
  }),
  classes: optionalIntegerKey({
    min: 0,
    doc: "classes of the labels that the network is given, for digits of a class; 0: it is given none; null: the data's",
  }),
  labelDrop: optionalFractionKey({
    doc: "share of samples that a conditional network is trained on without their label; null: the preset's",
  }),
};
