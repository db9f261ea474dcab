/* The drawn arrows: forward ones with their condition, loops with their bound. */

import { type Edge, EdgeLabelRenderer, type EdgeProps } from '@xyflow/react';
import { Plus, RotateCw } from 'lucide-react';
import { memo } from 'react';
import { useEditor } from './context';
import type { Way } from './scene';

export type FlowData = {
  readonly way: Way;
  readonly name: string;
  readonly isLoop: boolean;
  readonly on: string;
  readonly when: string;
  readonly converges: boolean;
  readonly bound: string;
  readonly boundTitle: string;
  readonly worst: 'error' | 'warning' | undefined;
  readonly canAdd: boolean;
};

export type FlowEdge = Edge<FlowData, 'flow'>;

const LONGEST_CONDITION = 26;

export const Flow = memo(function Flow({ id, data, selected }: EdgeProps<FlowEdge>) {
  const editor = useEditor();
  if (!data) return null;
  const { way, isLoop, on, when } = data;
  const choose = () => editor.select([id]);
  return (
    <>
      <g
        className="flow"
        data-testid="edge"
        data-edge-id={data.name}
        data-loop={isLoop}
        data-on={on}
        data-selected={selected || undefined}
        data-worst={data.worst}
      >
        <path className="flow-touch" d={way.path} />
        <path className="flow-line" d={way.path} />
        <path
          className="flow-tip"
          d="M -7 -5 L 1 0 L -7 5 z"
          transform={`translate(${way.tip.x} ${way.tip.y}) rotate(${way.turn})`}
        />
      </g>
      {(isLoop || on !== 'success' || when || data.canAdd) && (
        <EdgeLabelRenderer>
          <div
            className="flow-label nodrag nopan"
            data-selected={selected || undefined}
            style={{ transform: `translate(-50%, -50%) translate(${way.middle.x}px, ${way.middle.y}px)` }}
            onPointerDown={choose}
          >
            {isLoop && (
              <span className="flow-badge" title={`At most ${data.boundTitle}`}>
                <RotateCw size={11} aria-hidden="true" />
                {data.bound}
              </span>
            )}
            {on !== 'success' && (
              <span className="flow-on" data-on={on}>
                {on}
              </span>
            )}
            {when && (
              <span className="flow-when" title={when}>
                {when.length > LONGEST_CONDITION ? `${when.slice(0, LONGEST_CONDITION - 1)}…` : when}
              </span>
            )}
            {data.converges && <span>until steady</span>}
            {data.canAdd && (
              <button
                type="button"
                tabIndex={-1}
                className="flow-add"
                aria-label="Add a step here"
                title="Add a step here"
                onClick={(event) => {
                  const { right, top } = event.currentTarget.getBoundingClientRect();
                  editor.store.setState({ quickAdd: { edge: id, anchor: { x: right + 6, y: top } } });
                }}
              >
                <Plus size={12} aria-hidden="true" />
              </button>
            )}
          </div>
        </EdgeLabelRenderer>
      )}
    </>
  );
});
