def f():
    import mlflow
