# frozen_string_literal: true

require_relative 'clock'
require_relative 'flat'
require_relative 'schema'

module Irmgard
  # A document while it is filled: nested objects, addressed by dotted names. Every value ends where the index can take
  # it, so that no line is ever rejected.
  class Document
    # A dotted name of more parts is not nested.
    MAX_NAME_PARTS = 10

    attr_reader :content

    def initialize
      @content = {}
      # What goes to `fields`: under own names, and under the names of the fields that it contradicts.
      @others = Flat::Members.new
      @moved = {}
    end

    # Sets what nobody else has a say in.
    def own(name, value)
      *parents, last = Schema.parts(name)
      parents.reduce(@content) { |inner, parent| inner[parent] = inner[parent].is_a?(Hash) ? inner[parent] : {} }[last] = value
    end

    # Sets a field of the schema. A value of another kind goes to `fields`; nil says nothing.
    def set(name, value)
      return if value.nil?

      value = Schema.fitting(Schema::FIELDS.fetch(name), value) { return contradicting(name, value) }
      place(name, value)
    end

    # Puts a value where its name says, if the place is free.
    def place(name, value)
      parts = Schema.parts(name)
      return contradicting(name, value) if parts.size > MAX_NAME_PARTS || !free?(parts)

      own(name, value)
    end

    # Keeps a value that contradicts the schema, as text.
    def contradicting(name, value)
      @moved[Flat.name(name) { truncated }] = Flat.text(value) { truncated } unless value.nil?
    end

    # Keeps a value that has no place in the schema.
    def other(name, value)
      value = Flat.value(value) { truncated }
      @others.keep(Flat.name(name) { truncated }, value) unless value.nil?
    end

    def truncated
      @content['truncated'] = true
    end

    # The whole, when all is set.
    def finish
      fields = @others.all.merge!(@moved)
      @content['fields'] = fields unless fields.empty?
      @content
    end

    private

    def free?(parts)
      *parents, last = parts
      inner = parents.reduce(@content) do |object, parent|
        next_one = object[parent]
        return !object.key?(parent) unless next_one.is_a?(Hash)

        next_one
      end
      !inner.key?(last)
    end
  end
end
