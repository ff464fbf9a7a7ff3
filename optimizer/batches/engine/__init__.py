"""The batch processor's algorithms; knows no Django."""
