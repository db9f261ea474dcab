import { useEffect, useRef, useState } from 'react';
import { keysAreOn, switchKeys } from '../ui/keys';

const KEYS: readonly (readonly [string, string])[] = [
  ['j', 'Next request'],
  ['k', 'Previous request'],
  ['a', 'Approve'],
  ['r', 'Reject: write the reason, Ctrl+Enter sends'],
  ['s', 'Skip'],
  ['t', 'Write the answer, Ctrl+Enter sends'],
  ['g h', 'Go home; w workflows, r runs, i inbox, m monitor'],
  ['Esc', 'Leave a text field'],
  ['?', 'This list'],
];

export function KeyHelp({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [on, setOn] = useState(keysAreOn);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="keys-title" onClose={onClose}>
      <h2 id="keys-title">Keyboard shortcuts</h2>
      <div className="dialog-body">
        <dl className="keys">
          {KEYS.map(([key, words]) => (
            <div key={key}>
              <dt>
                <kbd className="kbd">{key}</kbd>
              </dt>
              <dd>{words}</dd>
            </div>
          ))}
        </dl>
        <label className="check">
          <input
            type="checkbox"
            checked={on}
            onChange={(event) => {
              switchKeys(event.target.checked);
              setOn(event.target.checked);
            }}
          />
          Use single-letter shortcuts
        </label>
      </div>
      <div className="dialog-actions">
        <button type="button" className="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}
