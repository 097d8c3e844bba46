// One file of Bun's C++.
