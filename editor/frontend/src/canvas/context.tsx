/* The editor for the components below, and the slice of its state each of them draws. */

import { createContext, type ReactNode, useContext } from 'react';
import { useStore } from 'zustand';
import type { Draft } from './draft';
import type { Editor, EditorState } from './editor';

type Value = {
  readonly editor: Editor;
  readonly draft: Draft;
  readonly urls: Readonly<Record<string, string>>;
};

const Context = createContext<Value | undefined>(undefined);

export function EditorProvider({ value, children }: { value: Value; children: ReactNode }) {
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function usePage(): Value {
  const value = useContext(Context);
  if (!value) throw new Error('This part of the editor stands outside of EditorProvider.');
  return value;
}

export function useEditor(): Editor {
  return usePage().editor;
}

export function useSlice<T>(select: (state: EditorState) => T): T {
  return useStore(useEditor().store, select);
}
