"""`course doctor`: what an instructor's machine can do, beside what `course_lib.doctor` says of a student's."""
