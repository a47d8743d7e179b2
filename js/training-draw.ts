/** The sample of a training: its rows opened by all runners, put together by the first. */
import { allOf } from './all.js';
import type { Team } from './team.js';
import type { Draw, SampleResult } from '../types/protocol.js';

/** Share of the work that is opening. */
const OPENING = 0.9;

export async function drawSample(
  team: Team, draw: Draw, keep: boolean, onProgress: (fraction: number) => void,
): Promise<SampleResult> {
  const parts = team.all.length;
  const opened = await allOf(team.all.map((runner, part) => runner.run(
    { name: 'open', draw, part, parts, keep }, (fraction) => onProgress(OPENING * fraction),
  )));
  const given = opened.flatMap(({ rows }) => rows ?? []);
  return team.first.run({ name: 'sample', draw, given }, onProgress);
}
