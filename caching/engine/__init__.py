"""The cache's algorithms; knows no Django."""
