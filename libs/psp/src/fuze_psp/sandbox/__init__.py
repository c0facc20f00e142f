"""The sandbox PSP of the development stack, over HTTP."""
