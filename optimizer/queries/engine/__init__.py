"""The query optimizer's algorithms; knows no Django."""
