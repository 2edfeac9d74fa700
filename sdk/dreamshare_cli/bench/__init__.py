"""`dreamshare bench`: experiments and simulation, on the machines that run in production.

A recipe becomes cells, a cell becomes lines, lines become results, results become a page:

    recipe = read_recipe(Path("recipes/smoke.toml"))              # recipe
    cells = cells_of(recipe)                                      # cells
    run_cell(cells[0], print)                                     # work: one cell, here and now
    asyncio.run(run_cells(cells, folder, workers=2, tell=print))  # runner: all of them, resumable
    results = collect(recipe, cells, tuple(load_records(folder, cells)))      # results
    print(page([results]))                                        # tables

Rules:
- recipe -> cells -> lines -> tables are pure functions of values; processes, files and terminals
  are the business of `work`, `runner` and `progress` alone;
- an algorithm takes part by its registered name and its config table: nothing here knows any.
"""
