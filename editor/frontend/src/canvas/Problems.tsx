/* Everything that keeps the workflow from running, by place. A click leads there. */

import { ChevronDown, ChevronUp, CircleCheck, OctagonX, TriangleAlert } from 'lucide-react';
import { useEffect, useState } from 'react';
import { labelOf } from '../graph/document';
import { edgeById, itemById } from '../graph/edits';
import { useEditor, useSlice } from './context';
import type { Found } from './editor';

export function Problems() {
  const problems = useSlice((state) => state.problems);
  const isEmpty = useSlice((state) => state.graph.nodes.length === 0);
  const asked = useSlice((state) => (state.wanted?.field === 'problems' ? state.wanted.count : 0));
  const [choice, setChoice] = useState<boolean | undefined>(undefined);
  useEffect(() => {
    if (asked > 0) setChoice(true);
  }, [asked]);
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  const warnings = problems.length - errors;
  const isOpen = problems.length > 0 && (choice ?? (errors > 0 && !isEmpty));
  return (
    <section className="problems" aria-label="Problems" data-open={isOpen || undefined}>
      <button
        type="button"
        className="problems-head"
        aria-expanded={isOpen}
        disabled={problems.length === 0}
        onClick={() => setChoice(!isOpen)}
      >
        {errors > 0 ? (
          <OctagonX size={14} className="is-error" aria-hidden="true" />
        ) : warnings > 0 ? (
          <TriangleAlert size={14} className="is-warning" aria-hidden="true" />
        ) : (
          <CircleCheck size={14} className="is-good" aria-hidden="true" />
        )}
        <span>{summary(errors, warnings)}</span>
        {problems.length > 0 &&
          (isOpen ? (
            <ChevronDown size={14} aria-hidden="true" />
          ) : (
            <ChevronUp size={14} aria-hidden="true" />
          ))}
      </button>
      {isOpen && (
        <ul className="problems-list">
          {problems.map((problem) => (
            <Row key={`${problem.path} ${problem.code} ${problem.message}`} problem={problem} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Row({ problem }: { problem: Found }) {
  const editor = useEditor();
  const graph = useSlice((state) => state.graph);
  const { target, severity, message, path } = problem;
  const item = itemById(graph, target.id);
  const edge = edgeById(graph, target.id);
  const place = item ? labelOf(item) : edge ? `${edge.source} → ${edge.target}` : 'Workflow';
  const Icon = severity === 'error' ? OctagonX : TriangleAlert;
  return (
    <li>
      <button
        type="button"
        className="problem"
        data-testid="problem"
        data-severity={severity}
        data-code={problem.code}
        data-path={path}
        onClick={() => {
          editor.select(target.kind === 'workflow' ? [] : [target.id]);
          if (item) editor.reveal(target.id);
          else if (edge) editor.reveal(edge.source);
          editor.want(target.field);
        }}
      >
        <Icon size={14} className={severity === 'error' ? 'is-error' : 'is-warning'} aria-hidden="true" />
        <span className="visually-hidden">{severity}: </span>
        <span>{message}</span>
        <span className="problem-place">{place}</span>
      </button>
    </li>
  );
}

function summary(errors: number, warnings: number): string {
  if (errors + warnings === 0) return 'No problems';
  const parts = [
    errors > 0 ? `${errors} ${errors === 1 ? 'problem' : 'problems'}` : '',
    warnings > 0 ? `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}` : '',
  ];
  return parts.filter(Boolean).join(', ');
}
