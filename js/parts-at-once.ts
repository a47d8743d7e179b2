/** As parts.ts, for where the library is one file: to load a part later would spare nothing. */
import * as managingPart from './managing.js';
import * as readingPart from './reading.js';
import * as stretchingPart from './stretching.js';
import * as trainingPart from './training.js';
import * as writingPart from './writing.js';
import type * as Parts from './parts.js';

export const reading: typeof Parts.reading = async () => readingPart;
export const writing: typeof Parts.writing = async () => writingPart;
export const managing: typeof Parts.managing = async () => managingPart;
export const training: typeof Parts.training = async () => trainingPart;
export const stretching: typeof Parts.stretching = async () => stretchingPart;
