// All that the page can ask of the main process. A sandboxed preload script is CommonJS.
const { contextBridge, ipcRenderer } = require('electron');

contextBridge.exposeInMainWorld('desk', {
  add: (text) => ipcRenderer.invoke('notes:add', text),
  search: (text) => ipcRenderer.invoke('notes:search', text),
  key: () => ipcRenderer.invoke('key'),
});
